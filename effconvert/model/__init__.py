"""The canonical network in PyTorch, into which every layout is converted."""

from effconvert.model.network import EfficientNet, create_model

__all__ = ["EfficientNet", "create_model"]

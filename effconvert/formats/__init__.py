"""One module for each format, reading and writing side by side; `open_checkpoint` tells them apart by their bytes."""

from effconvert.formats.checkpoint import Array, Checkpoint, TensorInfo
from effconvert.formats.recognition import open_checkpoint

__all__ = ["Array", "Checkpoint", "TensorInfo", "open_checkpoint"]

"""Layers that the file lacks: a map must name them, and the file does not tell their names."""

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import Variant
from effconvert.drafting.network_layers import NORM, Layer, network_layers
from effconvert.drafting.pieces import Leaves
from effconvert.drafting.rows import Row, Rows
from effconvert.drafting.shapes import Measured

_LIKE = {"conv": "project.conv", "bn": "project.bn"}  # the layer in a block that holds the same tensors


def add_missing_layers(rows: Rows, measured: Measured, variant: Variant) -> None:
    """Add a row for each layer of the head that the file lacks, its source a question with one candidate.

    Its tensors have the names that the same kind of layer has in a block; the classifier has `weight` and `bias`.
    """
    held = {layer.name for layer in measured.layers}
    missing = [layer for layer in network_layers(variant, default_facts(variant)) if layer.name not in held]
    if missing:
        rows.parts["head"] = [row for row in rows.parts["head"] if row.leaves]
    rows.parts["head"] += [Row(layer.role, _leaves(layer, rows), (layer.name,)) for layer in missing]


def _leaves(layer: Layer, rows: Rows) -> Leaves:
    """Return the tensors of a layer, named as in a similar layer of the file."""
    like = _LIKE.get(layer.role)
    alike = next(
        (row.leaves for row in rows.parts["block"] if row.layer == like and len(row.leaves) == len(layer.shapes)), None
    )
    return alike or tuple((tensor, tensor, "") for tensor in layer.shapes if tensor in (*NORM, "weight", "bias"))

"""Cost of one image, computed from the blocks of a network: the quantities that conventions add up.

They belong to the canonical network; a test counts them while that network runs. EdgeTPU's fused blocks compute the 3x3
convolution only at the pixels that are used, as the official graphs do since they moved the stride there; before, a
quarter of EdgeTPU-S was computed and not used.
"""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from math import prod
from types import MappingProxyType
from typing import NamedTuple

from effconvert.architecture.canonical import default_facts, is_trainable, tensor_shapes
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Block, Variant, blocks, head_channels, stem_channels
from effconvert.costs.conventions import CONVENTIONS, MULTIPLY_ADDS, Quantity


class _Area(NamedTuple):
    """Height and width of a feature map."""

    height: int
    width: int

    @property
    def pixels(self) -> int:
        return self.height * self.width

    def strided(self, stride: int) -> "_Area":
        """Return the output area of a convolution; it is the same for TensorFlow's SAME and symmetric padding."""
        return _Area(-(-self.height // stride), -(-self.width // stride))


@cache
def compute_quantities(variant: Variant, facts: Facts, height: int, width: int) -> Mapping[Quantity, int]:
    """Return every quantity for one image of `height` x `width` pixels. Raises ValueError for a size below 1."""
    if height < 1 or width < 1:
        raise ValueError(f"size={height} x {width}: must be 1 or more pixels")
    totals: Counter[Quantity] = Counter()
    area = _Area(height, width).strided(2)
    stem = stem_channels(variant)
    totals.update({"strided": area.pixels * stem * facts.in_channels * 3 * 3, **_normalised(area.pixels * stem, facts)})
    for block in blocks(variant):
        out_area = area.strided(block.stride)
        totals.update(_convolutions(block, area, out_area, facts))
        totals.update(_gates(block, out_area, facts))
        totals["residual"] += out_area.pixels * block.out_channels if block.residual else 0
        area = out_area
    channels = blocks(variant)[-1].out_channels
    if facts.head_conv:
        in_channels, channels = channels, head_channels(variant)
        totals.update(
            {"convolution": area.pixels * in_channels * channels, **_normalised(area.pixels * channels, facts)}
        )
    totals.update({"pooling": area.pixels * channels, "pooled": channels})
    totals.update({"classifier": channels * facts.classes, "classifier_biases": facts.classes})
    return MappingProxyType(totals)


def _convolutions(block: Block, in_area: _Area, out_area: _Area, facts: Facts) -> Counter[Quantity]:
    totals: Counter[Quantity] = Counter()
    window, expanded = block.kernel**2, block.expanded_channels
    if block.expanded:
        values = block.in_channels * expanded * (window if block.fused else 1)
        area, stride = (out_area, block.stride) if block.fused else (in_area, 1)
        totals.update(_convolution(block, values, area, stride))
        totals.update(_normalised(area.pixels * expanded, facts))
    if not block.fused:
        totals.update(_convolution(block, expanded * window, out_area, block.stride))
        totals.update(_normalised(out_area.pixels * expanded, facts))
    totals.update(_convolution(block, expanded * block.out_channels, out_area, 1))
    totals["batch_norm"] += out_area.pixels * block.out_channels
    if block.experts:
        totals["routing_pooling"] += in_area.pixels * block.in_channels
        totals["routing"] += block.in_channels * block.experts
        totals["routing_biases"] += block.experts
    return totals


def _convolution(block: Block, values: int, out_area: _Area, stride: int) -> dict[Quantity, int]:
    """Return the multiply-adds of a kernel with `values` weights, one multiply-add per weight and output pixel."""
    if block.experts:  # CondConv mixes the experts' kernels into one for each image
        return {"routed": out_area.pixels * values, "mixing": block.experts * values}
    return {"strided" if stride > 1 else "convolution": out_area.pixels * values}


def _gates(block: Block, out_area: _Area, facts: Facts) -> dict[Quantity, int]:
    if not block.se_channels:
        return {}
    gated, reduced = block.expanded_channels, block.se_channels
    return {
        "gates": 2 * gated * reduced,
        "gate_biases": gated + reduced,
        "gate_pooling": out_area.pixels * gated,
        "gating": out_area.pixels * gated,
        **_activated(reduced, facts),
    }


def _normalised(values: int, facts: Facts) -> dict[Quantity, int]:
    return {"batch_norm": values, **_activated(values, facts)}


def _activated(values: int, facts: Facts) -> dict[Quantity, int]:
    return {"swish": values} if facts.activation == "silu" else {}


def parameter_count(variant: Variant, facts: Facts | None = None) -> int:
    """Return the number of trainable values."""
    return sum(prod(shape) for name, shape in tensor_shapes(variant, facts).items() if is_trainable(name))


def buffer_count(variant: Variant, facts: Facts | None = None) -> int:
    """Return the number of values that are not trained: BatchNorm's moving statistics."""
    return sum(prod(shape) for name, shape in tensor_shapes(variant, facts).items() if not is_trainable(name))


def mac_count(variant: Variant, size: int | None = None, facts: Facts | None = None) -> int:
    """Return the multiply-adds for one image of `size` x `size` pixels, by default the variant's resolution.

    They equal the counts in the official graphs (TensorFlow 1.15.5 on tensorflow/tpu 7dc921f; the numbers are in
    reference/cost.csv). Raises ValueError for an image without pixels.
    """
    size = variant.resolution if size is None else size
    return CONVENTIONS[MULTIPLY_ADDS].count(compute_quantities(variant, facts or default_facts(variant), size, size))

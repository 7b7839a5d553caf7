"""Parameters and multiply-adds of a network, computed from its blocks."""

from math import prod

from effconvert.architecture.canonical import default_facts, is_trainable, tensor_shapes
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant
from effconvert.costs.conventions import CONVENTIONS, MULTIPLY_ADDS
from effconvert.costs.quantities import compute_quantities


def parameter_count(variant: Variant, facts: Facts | None = None) -> int:
    """Return the number of trainable values."""
    return sum(prod(shape) for name, shape in tensor_shapes(variant, facts).items() if is_trainable(name))


def buffer_count(variant: Variant, facts: Facts | None = None) -> int:
    """Return the number of values that are not trained: BatchNorm's moving statistics."""
    return sum(prod(shape) for name, shape in tensor_shapes(variant, facts).items() if not is_trainable(name))


def mac_count(variant: Variant, size: int | None = None, facts: Facts | None = None) -> int:
    """Return the multiply-adds of one image of `size` x `size` pixels, by default the variant's own resolution.

    They are those that were counted in the official graphs (TensorFlow 1.15.5 on tensorflow/tpu 7dc921f;
    reference/cost.csv has those numbers). Raises ValueError for an image without pixels.
    """
    size = variant.resolution if size is None else size
    return CONVENTIONS[MULTIPLY_ADDS].count(compute_quantities(variant, facts or default_facts(variant), size, size))

"""Parameters and multiply-adds of a network, computed from its blocks.

Multiply-adds are those of one image in convolutions, dense layers, squeeze-and-excite and CondConv's routing and mixing
of kernels, as counted in the official graphs (TensorFlow 1.15.5 on tensorflow/tpu 7dc921f; reference/cost.csv has those
numbers). Biases, BatchNorm, activations and pooling count nothing.

EdgeTPU's fused blocks count as the canonical network computes them, the 3x3 convolution only at the pixels that are
used. So do the official graphs since they have the stride there; before, a quarter of EdgeTPU-S was computed in vain.
"""

from math import prod

from effconvert.canonical import default_facts, is_trainable, tensor_shapes
from effconvert.facts import Facts
from effconvert.variants import Block, Variant, blocks, head_channels, stem_channels


def parameter_count(variant: Variant, facts: Facts | None = None) -> int:
    """Return the number of trainable values."""
    return sum(prod(shape) for name, shape in tensor_shapes(variant, facts).items() if is_trainable(name))


def buffer_count(variant: Variant, facts: Facts | None = None) -> int:
    """Return the number of values that are not trained: BatchNorm's moving statistics."""
    return sum(prod(shape) for name, shape in tensor_shapes(variant, facts).items() if not is_trainable(name))


def mac_count(variant: Variant, size: int | None = None, facts: Facts | None = None) -> int:
    """Return the multiply-adds of one image of `size` x `size` pixels, by default the variant's own resolution."""
    facts = facts or default_facts(variant)
    size = variant.resolution if size is None else size
    if size < 1:
        raise ValueError(f"size={size}: must be 1 or more pixels")
    side = _strided(size, 2)
    total = side**2 * stem_channels(variant) * 3 * 3 * 3
    for block in blocks(variant):
        total += _block_macs(block, side)
        side = _strided(side, block.stride)
    if facts.head_conv:
        total += side**2 * blocks(variant)[-1].out_channels * head_channels(variant)
    return total + head_channels(variant) * facts.classes


def _block_macs(block: Block, side: int) -> int:
    leaving = _strided(side, block.stride)
    expanding = leaving if block.fused else side
    kernels = _kernel_sizes(block)
    total = expanding**2 * kernels["expand"] + leaving**2 * (kernels["depthwise"] + kernels["project"])
    total += 2 * block.expanded_channels * block.se_channels
    # CondConv mixes the experts' kernels into one for each image; its routing is a dense layer on the pooled input.
    return total + block.experts * (sum(kernels.values()) + block.in_channels)


def _kernel_sizes(block: Block) -> dict[str, int]:
    """Return how many values one kernel of each convolution of `block` has, which is also its multiply-adds a pixel."""
    window = block.kernel**2
    entering, expanded = block.in_channels, block.expanded_channels
    return {
        "expand": entering * expanded * (window if block.fused else 1) if block.expanded else 0,
        "depthwise": 0 if block.fused else expanded * window,
        "project": expanded * block.out_channels,
    }


def _strided(side: int, stride: int) -> int:
    """Return the output side of a convolution, whether padded as TensorFlow's SAME or symmetrically."""
    return -(-side // stride)

"""TensorFlow's padding."""


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return how many pixels TensorFlow's SAME adds before and after an axis of `size` pixels.

    The sum is max((ceil(size / stride) - 1) * stride + kernel - size, 0); an odd pixel comes after.
    """
    total = max(kernel - stride + -size % stride, 0)
    return total // 2, total - total // 2

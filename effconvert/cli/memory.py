"""Keeps the peak memory of a command near that of its largest tensor."""

import ctypes

_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE = 16 << 20


def return_large_buffers() -> None:
    """Have glibc give buffers over 16 MB back to the system when they are freed, instead of keeping some for later.

    Left to itself it raises its threshold to the largest buffer freed, up to 32 MB: 70 MB more at the peak of L2.
    Other C libraries are left as they are.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)
    except (AttributeError, OSError, TypeError):
        return

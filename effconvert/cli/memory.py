"""Keeps the peak memory of a command near that of its largest tensor."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGE = 16 << 20


def return_large_buffers() -> None:
    """Have glibc give buffers over 16 MB back to the system when they are freed, instead of keeping some for later.

    Left to itself it raises its threshold to the largest buffer freed, up to 32 MB: 70 MB more at the peak of L2.
    Smaller ones are kept, or every tensor's pages would be asked of the system anew. Other C libraries are left as
    they are.
    """
    try:
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE)
    except (AttributeError, OSError, TypeError):
        return

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
    _set_thresholds(_LARGE, 2 * _LARGE)


def keep_large_buffers() -> None:
    """Have glibc keep buffers of up to 1 GB for later, as a network asks for the same ones again with every batch.

    Their pages would otherwise be asked of the system each time: a quarter of the time of B0 in batches of 16.
    """
    _set_thresholds(1 << 30, (1 << 31) - 1)


def _set_thresholds(mapped: int, trimmed: int) -> None:
    try:
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, mapped)
        library.mallopt(_M_TRIM_THRESHOLD, trimmed)
    except (AttributeError, OSError, TypeError):
        return

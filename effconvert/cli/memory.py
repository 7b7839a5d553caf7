"""Settings of malloc that keep the peak memory of a command near the size of its largest tensor."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGE = 16 << 20


def return_large_buffers() -> None:
    """Make glibc return buffers over 16 MB to the system when they are freed, instead of keeping some.

    By default glibc raises its threshold to the largest freed buffer, up to 32 MB: this costs 70 MB at the peak of L2.
    Smaller buffers are kept, since otherwise the system would give new pages for every tensor. Other C libraries are
    not changed.
    """
    _set_thresholds(_LARGE, 2 * _LARGE)


def keep_large_buffers() -> None:
    """Make glibc keep buffers of up to 1 GB, since a network needs the same ones for every batch.

    Otherwise the system would give new pages each time: a quarter of the time of B0 in batches of 16.
    """
    _set_thresholds(1 << 30, (1 << 31) - 1)


def _set_thresholds(mapped: int, trimmed: int) -> None:
    try:
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, mapped)
        library.mallopt(_M_TRIM_THRESHOLD, trimmed)
    except (AttributeError, OSError, TypeError):
        return

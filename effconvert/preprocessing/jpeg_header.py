"""Segments of a JPEG before its first scan."""

from collections.abc import Iterator

_START_OF_SCAN = 0xDA
_PADDING = (0x00, 0xFF)
_EXIF = 0xE1  # also used for XMP


def header_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, begin and end of each segment; the last one is the first scan, with all that follows.

    Raises ValueError for a JPEG without a scan.
    """
    position = 2
    while True:
        position = data.index(b"\xff", position, -1)
        marker = data[position + 1]
        if marker == _START_OF_SCAN:
            yield marker, position, len(data)
            return
        if marker in _PADDING:
            position += 1
            continue
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        yield marker, position, end
        position = end


def may_be_turned(data: bytes) -> bool:
    """Return whether the JPEG may have EXIF data, which can say that the camera was turned."""
    try:
        return any(marker == _EXIF for marker, _, _ in header_segments(data))
    except ValueError:
        return True

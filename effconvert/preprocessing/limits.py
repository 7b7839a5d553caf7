"""How large an image may be: a few bytes can stand for more pixels than memory bears.

The limit is of the process, as memory is, and given on to the processes that prepare images.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from effconvert.errors import DatasetProblem
from effconvert.option_words import option

MOST_PIXELS = 1 << 26  # 8,192 x 8,192: up to 1 GB in each process; ImageNet's largest has 60 million
MOST_SCANS = 100  # of a progressive JPEG, which has about ten; each costs as much as a whole image
LARGEST_SIZE = 4096  # of a network's input; L2 takes 800
_JPEG, _SCAN = b"\xff\xd8", b"\xff\xda"

_allowed = [MOST_PIXELS]


def most_pixels() -> int:
    """Return how many pixels an image may have in this process."""
    return _allowed[0]


@contextmanager
def pixels_allowed(count: int | None) -> Iterator[None]:
    """Let images have up to `count` pixels in this process, until the block ends. None changes nothing."""
    before, _allowed[0] = _allowed[0], count or _allowed[0]
    try:
        yield
    finally:
        _allowed[0] = before


def check_pixels(height: int, width: int, what: str = "") -> None:
    """Raise DatasetProblem for more pixels than are allowed; `what` says what has them, if not the image itself."""
    if height * width > most_pixels():
        raise DatasetProblem(
            f"too large: {what}{height:,} x {width:,} pixels; at most {most_pixels():,} are read "
            f"({option('max_pixels')} raises that)"
        )


def check_scans(data: bytes) -> None:
    """Raise DatasetProblem for a JPEG of more scans than any program writes."""
    if data[:2] != _JPEG:
        return
    import numpy as np  # recipes, which are looked up without images, wait for none of it

    values = np.frombuffer(data, np.uint8)  # several times as fast as bytes.count
    found = values[:-1] == _SCAN[0]
    found &= values[1:] == _SCAN[1]
    scans = np.count_nonzero(found)
    if scans > MOST_SCANS:
        raise DatasetProblem(f"a JPEG with {scans:,} scans; at most {MOST_SCANS} are read. Save it again without them")

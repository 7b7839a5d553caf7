"""Hashes of images' bytes, taken while images are evaluated, or later to compare.

Any changed byte can change a prediction, so the hash covers every byte.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import DatasetProblem
from effconvert.validate.data.image_bytes import read_image
from effconvert.validate.data.locations import Location

Ids = NDArray[np.int64]
# uint8 [N, HASH_BYTES], a row for each image.
Hashes = NDArray[np.uint8]

HASH_BYTES = 16
# The hash of an image that cannot be read.
UNREADABLE = bytes(HASH_BYTES)

_THREADS = 8  # hashing and reading release the GIL
_AT_ONCE = 64


def image_hash(data: bytes) -> bytes:
    """Return the first 16 bytes of the SHA-256 (FIPS 180-4) of an encoded image."""
    return hashlib.sha256(data).digest()[:HASH_BYTES]


class ImageHashes:
    """The hashes of the images at `locations`; each image is read once, when first needed."""

    def __init__(self, locations: Sequence[Location]) -> None:
        self._locations = locations
        self._hashes: Hashes = np.zeros((len(locations), HASH_BYTES), np.uint8)
        self._known = np.zeros(len(locations), bool)

    def of(self, ids: Ids) -> Hashes:
        """Return the hashes [N, 16] of the images `ids`. Raises Unavailable when a package for them is missing."""
        for _ in self._reading(ids[~self._known[ids]]):
            pass
        return self._hashes[ids]

    def first_other(self, ids: Ids, hashes: Hashes) -> int | None:
        """Return one of `ids` [N] with another hash than in `hashes` [N, 16], None if all are equal.

        Reading stops at the first difference. An id that is not in the data set counts as a difference.
        """
        strange = ids[(ids < 0) | (ids >= len(self._locations))]
        if len(strange):
            return int(strange[0])
        expected = np.zeros_like(self._hashes)
        expected[ids] = hashes
        known = self._known[ids]
        for some in chain([ids[known]], self._reading(ids[~known])):
            other = some[(self._hashes[some] != expected[some]).any(1)]
            if len(other):
                return int(other[0])
        return None

    def _reading(self, ids: Ids) -> Iterator[Ids]:
        """Read the images `ids`, some of them ahead, and yield the ids with a known hash as they come."""
        parts = self._parts(ids)
        coming: deque[tuple[Ids, Future[Hashes]]] = deque()
        with ThreadPoolExecutor(_THREADS) as pool:
            while True:
                while len(coming) < 2 * _THREADS and (part := next(parts, None)) is not None:
                    coming.append((part, pool.submit(self._hashes_of, part)))
                if not coming:
                    return
                part, future = coming.popleft()
                self._hashes[part], self._known[part] = future.result(), True
                yield part

    def _parts(self, ids: Ids) -> Iterator[Ids]:
        """Yield `ids` in parts that never divide a row group of a table, since it is read whole."""
        start, before = 0, None
        for place, number in enumerate(ids.tolist()):
            location = self._locations[number]
            group = (location.path, location.start) if location.reader == "row" else number
            if place - start >= _AT_ONCE and group != before:
                yield ids[start:place]
                start = place
            before = group
        if start < len(ids):
            yield ids[start:]

    def _hashes_of(self, ids: Ids) -> Hashes:
        found = b"".join(self._hash_of(self._locations[number]) for number in ids)
        return np.frombuffer(found, np.uint8).reshape(-1, HASH_BYTES)

    def _hash_of(self, location: Location) -> bytes:
        try:
            return image_hash(read_image(location))
        except DatasetProblem:
            return UNREADABLE

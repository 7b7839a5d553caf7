"""The place of an image: a file, a range of bytes, a record, or a row of a table."""

from typing import NamedTuple


class Location(NamedTuple):
    """Location of an image, small and picklable.

    reader: `file`, `bytes`, `record` or `row`. path: of the file or the shard. start, length: the byte range of the
    image, or of the record's content; for a row, its row group and its index in that; for a file, 0.
    """

    reader: str
    path: str
    start: int
    length: int

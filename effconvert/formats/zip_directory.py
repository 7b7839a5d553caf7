"""The directory of a zip file, read with a size limit and without the records."""

import io
import struct
import zipfile

from effconvert.formats.checkpoint import DataFile

MAGIC = b"PK\x03\x04"
# zipfile and json themselves raise these on malicious archives, such as UnicodeDecodeError and RecursionError.
FAILURES = (zipfile.BadZipFile, EOFError, OSError, KeyError, OverflowError, RuntimeError, ValueError, struct.error)

_LARGEST_DIRECTORY = 4 << 20  # 10,000 storages take 1 MB; zipfile makes 15 bytes of each one


def directory(file: DataFile) -> list[zipfile.ZipInfo]:
    """Return the entries of a zip file's directory, if it is not larger than any model needs.

    Raises the errors of zipfile; zipfile.BadZipFile for the size.
    """
    with zipfile.ZipFile(_Directory(file)) as archive:
        return archive.infolist()


class _Directory(io.RawIOBase):
    """The file as an object for zipfile, which would read a directory of any declared size at once."""

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self._at = 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        if start + offset < 0:
            raise OSError("a position before the beginning")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._file.size - self._at)
        size = left if size is None or size < 0 else min(size, left)
        if size > _LARGEST_DIRECTORY:
            raise zipfile.BadZipFile(f"its directory declares {size:,} bytes")
        self._at += size
        return self._file.read(self._at - size, size)

"""The directory of a zip file, read within bounds and without its records."""

import io
import struct
import zipfile

from effconvert.formats.checkpoint import DataFile

MAGIC = b"PK\x03\x04"
# What zipfile and json let through on archives made to break them, such as UnicodeDecodeError and RecursionError.
FAILURES = (zipfile.BadZipFile, EOFError, OSError, KeyError, OverflowError, RuntimeError, ValueError, struct.error)

_LARGEST_DIRECTORY = 4 << 20  # 10,000 storages take 1 MB; zipfile makes 15 bytes of each one


def directory(file: DataFile) -> list[zipfile.ZipInfo]:
    """Return the entries of a zip file's directory, which is not read when it is larger than any model needs.

    Raises what zipfile raises, zipfile.BadZipFile for the size.
    """
    with zipfile.ZipFile(_Directory(file)) as archive:
        return archive.infolist()


class _Directory(io.RawIOBase):
    """The file as zipfile wants it, which reads the whole directory at once, however large it says it is."""

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

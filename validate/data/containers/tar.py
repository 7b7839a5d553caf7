"""Plain tar files, read in place: the original ILSVRC2012_img_val.tar, or a folder per class.

The headers are read once; later, each image is read with one positioned read.
"""

import tarfile
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple, cast

from effconvert.errors import DatasetProblem
from effconvert.formats.archive import HEADER_BYTES
from effconvert.validate.data.containers.contents import Contents, common_folders, sort_of
from effconvert.validate.data.imagenet import SYNSET
from effconvert.validate.data.locations import Location

# tarfile also raises ValueError and the like for hostile headers.
_FAILURES = (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError)


class Member(NamedTuple):
    """A file in a tar: its name, and the byte range of its content."""

    name: str
    start: int
    length: int


def members(path: Path) -> list[Member]:
    """Return the regular files in the tar at `path`, in its order.

    Raises DatasetProblem for a damaged tar, and for links and sparse files, which have no content of their own.
    """
    found = []
    size = path.stat().st_size
    try:
        with (
            open(path, "rb", buffering=0) as file,
            tarfile.open(fileobj=cast(BinaryIO, _Headers(file)), mode="r:") as archive,
        ):
            for member in archive:
                if member.isdir():
                    continue
                if not member.isfile() or member.issparse():
                    raise DatasetProblem(
                        f"{path}: {member.name} is a link or not a regular file; pack the images themselves"
                    )
                if member.offset_data + member.size > size:
                    raise DatasetProblem(f"{path}: ends within {member.name}; copy or download it again")
                found.append(Member(str(PurePosixPath(member.name)), member.offset_data, member.size))
            file.seek(archive.offset)  # tarfile reads a damaged header as the end
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"neither a header nor the end at byte {archive.offset:,}")
    except _FAILURES as error:
        after = f" after {found[-1].name}" if found else ""
        raise DatasetProblem(f"{path}: a damaged tar file{after}: {error}; copy or download it again") from error
    return found


class _Headers:
    """The file as an object for tarfile, which would read a header of any declared size at once."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return self._file.read(size)


def list_tar(shards: dict[Path, list[Member]]) -> Contents:
    """Return the images in tar files; where they are in different folders, each folder is a class."""
    contents = Contents("a tar file" if len(shards) == 1 else f"{len(shards)} tar files")
    images = []
    for path, found in shards.items():
        for member in found:
            sort = sort_of(PurePosixPath(member.name).name)
            if sort == "image":
                images.append((path, member))
            else:
                contents.left_out[sort] += 1
    folders = [list(PurePosixPath(member.name).parent.parts) for _, member in images]
    common = common_folders(folders)
    for (path, member), parts in zip(images, folders, strict=True):
        label = parts[len(common)] if len(parts) > len(common) else _only_class(common)
        contents.add(member.name, label, Location("bytes", str(path), member.start, member.length))
    contents.folders = tuple(sorted({image.label for image in contents.images if isinstance(image.label, str)}))
    return contents


def _only_class(common: list[str]) -> str | None:
    return common[-1] if common and SYNSET.fullmatch(common[-1]) else None

"""Image files in a folder, found by their suffix."""

import os
from collections.abc import Iterator
from pathlib import Path

from effconvert.budget import guarded
from effconvert.errors import DatasetProblem
from effconvert.paths import require_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def images_in(folder: str | Path) -> list[Path]:
    """Return every image in `folder` and its subfolders, found by suffix and sorted by path.

    Raises MissingPath; DatasetProblem when there are none.
    """
    folder = require_path(folder)
    if not folder.is_dir():
        raise DatasetProblem(f"{folder}: is not a folder; give a folder of images")
    with guarded(folder, DatasetProblem):
        found = sorted(_found_in(folder))
    if not found:
        raise DatasetProblem(f"{folder}: contains no images; looked for {', '.join(SUFFIXES)}, also in subfolders")
    return found


def _found_in(folder: Path) -> Iterator[Path]:
    """Yield the images. A folder that cannot be listed is an error: its images would silently be missing."""

    def refuse(error: OSError) -> None:
        raise DatasetProblem(f"{error.filename}: cannot be read: {error.strerror}") from error

    for place, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            path = Path(place, name)
            if path.suffix.lower() in SUFFIXES and path.is_file():
                yield path

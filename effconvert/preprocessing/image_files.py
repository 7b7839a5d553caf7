"""Image files in a folder, found by their suffix."""

from pathlib import Path

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
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise DatasetProblem(f"{folder}: contains no images; looked for {', '.join(SUFFIXES)}, also in subfolders")
    return found

"""The images in a folder: an image is what its suffix says."""

from pathlib import Path

from effconvert.errors import DatasetProblem
from effconvert.paths import require_path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def images_in(folder: str | Path) -> list[Path]:
    """Return every image in `folder` and the folders in it, sorted by path; an image is what its suffix says.

    Raises MissingPath; DatasetProblem when there is none.
    """
    folder = require_path(folder)
    if not folder.is_dir():
        raise DatasetProblem(f"{folder}: not a folder; images are read from a folder")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise DatasetProblem(f"{folder}: no image in it; looked for {', '.join(SUFFIXES)}, in folders within as well")
    return found

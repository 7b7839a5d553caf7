"""A flat folder: images side by side, their labels in a file beside them or in their names."""

from pathlib import Path

from effconvert.validate.data.containers.contents import Contents
from effconvert.validate.data.containers.folder import list_images

_TEXTS = (".txt", ".csv", ".tsv")


def list_flat_folder(path: Path) -> Contents:
    """Return the images that lie directly in `path`, without labels, and the files that may hold the labels."""
    contents = Contents("a flat folder")
    list_images(contents, path)
    texts = sorted(
        entry for entry in path.iterdir() if entry.suffix.lower() in _TEXTS and not entry.name.startswith(".")
    )
    contents.label_files = tuple(map(str, texts))
    contents.left_out["files that are no images"] -= len(texts)
    contents.left_out = +contents.left_out
    return contents

"""Folders of images: a folder for each class, at any depth, or one flat folder.

The labels of a flat folder are in a file beside the images, or in the names of the images.
"""

import os
from pathlib import Path

from effconvert.errors import DatasetProblem
from effconvert.validate.data.containers.contents import Contents, sort_of
from effconvert.validate.data.locations import Location

_TEXTS = (".txt", ".csv", ".tsv")
_DEEPEST = 100
_SPLITS = frozenset(("train", "training", "val", "valid", "validation", "test"))


def list_class_folders(path: Path, folders: list[str]) -> Contents:
    """Return the images in the class folders `folders` of `path`, sorted by name.

    Raises OSError for a folder that cannot be listed.
    """
    contents = Contents("a folder per class", folders=tuple(sorted(folders)))
    splits = sorted(name for name in folders if name.lower() in _SPLITS)
    if splits:
        words = f"holds {', '.join(f'{name}/' for name in splits)}, which are parts of a data set and not classes"
        contents.problems.append(f"{words}; give one of them: {path / splits[-1]}")
        return contents
    for folder in contents.folders:
        _add_images(contents, path / folder, folder, folder)
    return contents


def list_images(contents: Contents, path: Path) -> None:
    """Add the images directly in `path`, without labels."""
    _add_images(contents, path, "", None, deep=False)


def _add_images(contents: Contents, path: Path, prefix: str, label: str | None, deep: bool = True) -> None:
    if prefix.count("/") > _DEEPEST:
        raise DatasetProblem(f"{path}: folders are nested more than {_DEEPEST} deep")
    with os.scandir(path) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = f"{prefix}/{entry.name}" if prefix else entry.name
        sort = sort_of(entry.name)
        if entry.is_dir():
            if entry.is_symlink() and path.resolve().is_relative_to(Path(entry.path).resolve()):
                contents.problems.append(f"{name}: a link to a folder that contains it; remove it")
            elif deep and sort != "hidden files":
                _add_images(contents, path / entry.name, name, label)
        elif sort != "image":
            contents.left_out[sort] += 1
        elif not entry.is_file():
            contents.problems.append(f"{name}: a broken link, or not a regular file")
        else:
            contents.add(name, label, Location("file", entry.path, 0, 0))


def list_flat_folder(path: Path) -> Contents:
    """Return the images directly in `path`, without labels, and the files that may hold the labels."""
    contents = Contents("a flat folder")
    list_images(contents, path)
    texts = sorted(
        entry for entry in path.iterdir() if entry.suffix.lower() in _TEXTS and not entry.name.startswith(".")
    )
    contents.label_files = tuple(map(str, texts))
    contents.left_out["files that are not images"] -= len(texts)
    contents.left_out = +contents.left_out
    return contents

"""TensorFlow's checkpoint files in a folder: index files, those of a SavedModel, and those before version 2."""

import re
from pathlib import Path

from effconvert.errors import UnreadableCheckpoint, listing

TABLE_END = bytes.fromhex("57fb808b247547db")  # the magic number at the end of a TensorFlow index


def index_in(folder: Path) -> Path:
    """Return the only `.index` in a checkpoint's or SavedModel's folder, or in the only folder in it that has one.

    Raises UnreadableCheckpoint if there is none, or if there are several.
    """
    indices = _found_in(folder)
    if not indices:
        content = sorted(entry.name for entry in folder.iterdir())
        found = f"found only {', '.join(content[:5])}{' …' if len(content) > 5 else ''}" if content else "it is empty"
        raise UnreadableCheckpoint(f"{folder}: holds no TensorFlow checkpoint (no .index file; {found})")
    if len(indices) > 1:
        prefixes = [str(index).removesuffix(".index") for index in indices]
        heading = f"{folder}: holds {len(indices)} checkpoints; give one of them:"
        raise UnreadableCheckpoint(listing(heading, [*prefixes, *latest(folder)]))
    return indices[0]


def holds_index(folder: Path) -> bool:
    """Return whether `index_in` finds at least one in the folder."""
    return bool(_found_in(folder))


def indices_in(folder: Path, *depths: str) -> list[Path]:
    """Return the `.index` files in the folders at `depths`, patterns below `folder`, sorted."""
    found = (index for depth in depths for index in folder.glob(f"{depth}/*.index"))
    return sorted(index for index in found if not index.name.startswith("."))  # macOS adds ._x.index


def _found_in(folder: Path) -> list[Path]:
    return indices_in(folder, ".", "variables") or indices_in(folder, "*", "*/*") or _version_1(folder)


def _version_1(folder: Path) -> list[Path]:
    """Return a file that is a table itself, as in TensorFlow's checkpoints before version 2."""
    for path in sorted(folder.glob("*.ckpt*"))[:20]:
        if path.is_file():
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - len(TABLE_END)))
                if file.read() == TABLE_END:
                    return [path]
    return []


def latest(folder: Path) -> list[str]:
    """Return a hint with the latest checkpoint, according to the folder's file `checkpoint`."""
    state = folder / "checkpoint"
    if not state.is_file():
        return []
    with state.open(errors="replace") as file:
        match = re.search(r'^model_checkpoint_path: "([^"]+)"', file.read(65536), re.MULTILINE)
    return [f"(its file 'checkpoint' names {match[1]!r} as the latest)"] if match else []

"""Finds the one checkpoint in a folder, whatever it is called; where there are several, lists them.

Looked at are the files of the folder itself, and the two levels of folders in which TensorFlow keeps its own. Links
that lead out of the folder are not followed, but for those of Hugging Face's cache.
"""

import os
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from effconvert.errors import UnreadableCheckpoint, listing
from effconvert.formats.checkpoint import Checkpoint
from effconvert.formats.compressed import unread_in_words
from effconvert.formats.foreign_folders import folder_in_words
from effconvert.formats.signatures import Format, format_of
from effconvert.formats.tensorflow_folders import indices_in, latest

# The weights in a folder of Hugging Face, in the order in which transformers looks for them.
_NAMED = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_MOST_ENTRIES = 5_000
_MOST_OPENED = 20
_SHOWN = 5

# What trainers write beside the weights: Hugging Face's, accelerate's, Lightning's, DeepSpeed's, timm's, macOS's.
_COMPANIONS = re.compile(
    r"\..*|.*optim(?:izer)?(?:_?states?)?(?:[-_.]\d+)?\.(?:pt|pth|bin|ckpt|safetensors|pkl)|.*_optim_states\.pt"
    r"|(?:lr_)?sched(?:uler)?(?:[-_.]\d+)?\.(?:pt|pth|bin|pkl)|(?:grad_)?scaler\.(?:pt|pth|bin)"
    r"|rng[-_]states?(?:[-_.]\d+)?\.(?:pt|pth)|random_states_\d+\.pkl|training_args\.(?:bin|pt)|dl_state_dict.*\.bin"
    r"|sampler.*\.bin|custom_checkpoint_\d+\.pkl|common\.pt|.*\.distcp|.*\.onnx\.data|events\.out\..*"
)
_WEIGHTS = (Format.TENSORFLOW, Format.SAFETENSORS, Format.TORCH, Format.KERAS, Format.MINDSPORE)
_Opens = Callable[[Path], Checkpoint]


def open_in_folder(folder: Path, opens: _Opens) -> Checkpoint:
    """Open the checkpoint in `folder`.

    opens: opens the checkpoint of a file or of a TensorFlow index.

    Raises UnreadableCheckpoint when there is none, saying what the folder is instead, or when there are several.
    """
    named = next((folder / name for name in _NAMED if (folder / name).is_file()), None)
    if named:
        return opens(named)
    if indices := indices_in(folder, ".", "variables"):
        return opens(_only(indices, folder))
    formats = {path: format_of(path) for path in _files(folder)}
    files = [path for path, form in formats.items() if form in _WEIGHTS or _is_index(path, form)]
    found = [*files, *indices_in(folder, "*", "*/*")]
    found = found or [path for path, form in formats.items() if form is Format.ARCHIVE]
    if not found:
        return _open_snapshot(folder, opens)
    if len(found) == 1:
        return opens(found[0])
    if not files or len(found) > _MOST_OPENED:
        _only(found, folder)
    return _open_readable(folder, found, opens)


def _is_index(path: Path, form: Format | None) -> bool:
    """Return whether a JSON file is an index of shards: configurations stand in a folder as well."""
    return form is Format.JSON and path.name.endswith(".index.json")


def _only(found: list[Path], folder: Path) -> Path:
    """Return the one that was found. Raises UnreadableCheckpoint that lists several."""
    if len(found) > 1:
        shown = [str(path).removesuffix(".index") for path in found]
        heading = f"{folder}: holds {len(found)} checkpoints; give the one you mean:"
        raise UnreadableCheckpoint(listing(heading, [*shown, *latest(folder)]))
    return found[0]


def _open_readable(folder: Path, found: list[Path], opens: _Opens) -> Checkpoint:
    """Open the only one of several files that can be read as a checkpoint; those that cannot be are remarked on it."""
    readable: list[Path] = []
    problems: dict[Path, str] = {}
    for path in found:
        try:
            opens(path).close()
            readable.append(path)
        except UnreadableCheckpoint as error:
            problems[path] = str(error)
    if not readable:
        heading = f"{folder}: holds {len(found)} files of weights, none of which can be read:"
        raise UnreadableCheckpoint(listing(heading, problems.values()))
    checkpoint = opens(_only(readable, folder))
    checkpoint.remarks = (
        *checkpoint.remarks,
        *(f"{path.name} stands in the folder too, and cannot be read as weights" for path in problems),
    )
    return checkpoint


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files that may be a checkpoint, sorted by name; of several links to one file the first."""
    entries = sorted(islice(os.scandir(folder), _MOST_ENTRIES + 1), key=lambda entry: entry.name)
    if len(entries) > _MOST_ENTRIES:
        raise UnreadableCheckpoint(f"{folder}: holds more than {_MOST_ENTRIES:,} files; give the one of the weights")
    home = folder.resolve()
    # In Hugging Face's cache the files are links to blobs/, two folders higher.
    home = home.parent.parent if home.parent.name == "snapshots" else home
    seen = set()
    for entry in entries:
        path = folder / entry.name
        if _COMPANIONS.fullmatch(entry.name) or not path.is_file() or not path.resolve().is_relative_to(home):
            continue
        status = path.stat()
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield path


def _open_snapshot(folder: Path, opens: _Opens) -> Checkpoint:
    """Open the checkpoint in a repository of Hugging Face's cache: in its only snapshot, or the one of `main`."""
    snapshots = _folders(folder / "snapshots")
    reference = folder / "refs" / "main"
    if reference.is_file() and reference.stat().st_size < 100:
        main = folder / "snapshots" / reference.read_text(errors="replace").strip()
        snapshots = [main] if main in snapshots else snapshots
    if len(snapshots) == 1:
        return open_in_folder(snapshots[0], opens)
    if snapshots:
        heading = f"{folder}: a repository of Hugging Face's cache; give the snapshot you mean:"
        raise UnreadableCheckpoint(listing(heading, [str(path) for path in snapshots]))
    raise UnreadableCheckpoint(f"{folder}: {_without_checkpoint(folder)}")


def _without_checkpoint(folder: Path) -> str:
    """Say what a folder is that holds no checkpoint."""
    entries = sorted(folder.iterdir())
    names = [entry.name + ("/" if entry.is_dir() else "") for entry in entries]
    if not names:
        return "holds no checkpoint, it is empty; give the file of the weights"
    if words := folder_in_words(folder, [name.rstrip("/") for name in names]):
        return words
    if repositories := [entry for entry in entries if entry.name.startswith("models--") and entry.is_dir()]:
        heading = "Hugging Face's cache; give the repository you mean:"
        return listing(heading, [str(path) for path in repositories])
    found = f"found only {', '.join(map(_shown, names[:_SHOWN]))}{', …' if len(names) > _SHOWN else ''}"
    known = [f"{_shown(entry.name)}: {words}" for entry in entries[:_MOST_OPENED] if (words := _entry_in_words(entry))]
    heading = f"holds no checkpoint that is read here ({found}); give the file or folder of the weights"
    return listing(f"{heading}{':' if known else ''}", known)


def _entry_in_words(entry: Path) -> str:
    if entry.is_dir():
        return folder_in_words(entry, [inner.name for inner in islice(entry.iterdir(), _MOST_ENTRIES)])
    return unread_in_words(entry) if entry.is_file() else ""


def _folders(folder: Path) -> list[Path]:
    return (
        sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())
        if folder.is_dir()
        else []
    )


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)

"""Search for the only checkpoint in a folder, with any name; several are listed in the error.

The search covers the files in the folder, and two levels of folders for TensorFlow. Links that lead out of the folder
are not followed, except in Hugging Face's cache.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from effconvert.errors import EffconvertError, UnreadableCheckpoint, listing, some
from effconvert.formats.checkpoint import Checkpoint
from effconvert.formats.shards import numbered
from effconvert.formats.signatures import Format, format_of
from effconvert.formats.tensorflow.index_files import indices_in, latest

# The weights in a folder of Hugging Face, in the order in which transformers looks for them.
_NAMED = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
# Files of Hugging Face beside them: the same weights for other frameworks.
_SAME = ("tf_model.h5", "flax_model.msgpack", "rust_model.ot", "open_clip_pytorch_model.bin")
_PASSED = "is in the folder too, and was not read"
_UNREADABLE = "is in the folder too, and cannot be read as weights"
_BUNDLE = re.compile(r"\.index$|\.data-\d{5}-of-\d{5}$")  # the two files of a checkpoint of TensorFlow
_MOST_ENTRIES = 5_000
_MOST_OPENED = 20
_SHOWN = 5

# Files that trainers and systems write beside the weights: Hugging Face, accelerate, Lightning, DeepSpeed, timm, macOS.
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

    Raises UnreadableCheckpoint if there are several, or none; then it says what the folder is.
    """
    named = next((folder / name for name in _NAMED if (folder / name).is_file()), None)
    indices = [] if named else indices_in(folder, ".", "variables")
    if named or indices:
        return _remarked(opens(named or _only(indices, folder)), _others(folder), _PASSED)
    formats = _formats(_files(folder))
    files = [path for path, form in formats.items() if _holds_weights(path, form)]
    found = [*files, *indices_in(folder, "*", "*/*")]
    found = found or [path for path, form in formats.items() if form is Format.ARCHIVE]
    if not found:
        return _open_snapshot(folder, opens)
    if len(found) == 1:
        return opens(found[0])
    if not files or len(found) > _MOST_OPENED:
        _only(found, folder)
    return _open_readable(folder, found, opens)


def _formats(paths: Iterable[Path]) -> dict[Path, Format | None]:
    """Return the format of each file that may be a checkpoint; None for a file without read permission."""
    formats: dict[Path, Format | None] = {}
    for path in paths:
        try:
            formats[path] = format_of(path)
        except PermissionError:
            formats[path] = None
    return formats


def _holds_weights(path: Path, form: Format | None) -> bool:
    """Return whether a file is a checkpoint by its format; for JSON its name must be that of an index of shards."""
    return form in _WEIGHTS or (form is Format.JSON and path.name.endswith(".index.json"))


def _others(folder: Path) -> list[Path]:
    """Return the other checkpoints, if one has a name of Hugging Face or TensorFlow; its own parts do not count."""
    try:
        files = list(_files(folder))
    except UnreadableCheckpoint:  # a folder of very many files
        return []
    usual = (*_NAMED, *_SAME)
    other = [
        path for path in files if path.name not in usual and not numbered(path.name) and not _BUNDLE.search(path.name)
    ]
    return [path for path, form in _formats(other).items() if _holds_weights(path, form)]


def _only(found: list[Path], folder: Path) -> Path:
    """Return the only one. Raises UnreadableCheckpoint with a list if there are several."""
    if len(found) > 1:
        shown = [str(path).removesuffix(".index") for path in found]
        heading = f"{folder}: holds {len(found)} checkpoints; give one of them:"
        raise UnreadableCheckpoint(listing(heading, [*shown, *latest(folder)]))
    return found[0]


def _open_readable(folder: Path, found: list[Path], opens: _Opens) -> Checkpoint:
    """Open the only readable checkpoint among several files; the others are added to its remarks."""
    readable: list[Path] = []
    problems: dict[Path, str] = {}
    for path in found:
        try:
            opens(path).close()
            readable.append(path)
        except EffconvertError as error:
            problems[path] = str(error)
    if not readable:
        heading = f"{folder}: holds {len(found)} files of weights, but none can be read:"
        raise UnreadableCheckpoint(listing(heading, problems.values()))
    return _remarked(opens(_only(readable, folder)), problems, _UNREADABLE)


def _remarked(checkpoint: Checkpoint, others: Iterable[Path], words: str) -> Checkpoint:
    checkpoint.remarks = (*checkpoint.remarks, *(f"{_shown(path.name)} {words}" for path in others))
    return checkpoint


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files that may be a checkpoint, sorted by name; if several links lead to one file, only the first."""
    names = sorted(entry.name for entry in islice(folder.iterdir(), _MOST_ENTRIES + 1))
    if len(names) > _MOST_ENTRIES:
        raise UnreadableCheckpoint(f"{folder}: holds more than {_MOST_ENTRIES:,} files; give the one of the weights")
    home = folder.resolve()
    # In Hugging Face's cache, the files are links to blobs/, two folders up.
    home = home.parent.parent if home.parent.name == "snapshots" else home
    seen = set()
    for name in names:
        path = folder / name
        if _COMPANIONS.fullmatch(name) or not path.is_file() or not path.resolve().is_relative_to(home):
            continue
        status = path.stat()
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield path


def _open_snapshot(folder: Path, opens: _Opens) -> Checkpoint:
    """Open the checkpoint in a folder of Hugging Face's cache: in its only snapshot, or in that of `main`."""
    snapshots = _snapshots(folder)
    if len(snapshots) == 1:
        return open_in_folder(snapshots[0], opens)
    if snapshots:
        heading = f"{folder}: Hugging Face's cache with {len(snapshots)} snapshots; give one of them:"
        raise UnreadableCheckpoint(listing(heading, [str(path) for path in snapshots]))
    raise UnreadableCheckpoint(f"{folder}: {_without_checkpoint(folder)}")


def _snapshots(folder: Path) -> list[Path]:
    """Return the snapshots in `folder` of Hugging Face's cache, which is of one repository or of several."""
    if folder.name == "snapshots":
        return _folders(folder)
    snapshots = _folders(folder / "snapshots") or [
        path for path in _folders(folder) if path.name.startswith("models--")
    ]
    reference = folder / "refs" / "main"
    if reference.is_file() and reference.stat().st_size < 100:
        main = folder / "snapshots" / reference.read_text(errors="replace").strip()
        return [main] if main in snapshots else snapshots
    return snapshots


def _without_checkpoint(folder: Path) -> str:
    """Return what a folder without a checkpoint is."""
    entries = sorted(folder.iterdir())
    names = [entry.name + ("/" if entry.is_dir() else "") for entry in entries]
    if not names:
        return "holds no checkpoint: it is empty; give the file of the weights"
    from effconvert.formats.foreign.folders import folder_in_words

    if words := folder_in_words(folder, [name.rstrip("/") for name in names]):
        return words
    found = f"found only {some(list(map(_shown, names)), _SHOWN)}"
    known = [f"{_shown(entry.name)}: {words}" for entry in entries[:_MOST_OPENED] if (words := _entry_in_words(entry))]
    heading = f"holds no checkpoint that is read here ({found}); give the file or folder of the weights"
    return listing(f"{heading}{':' if known else ''}", known)


def _entry_in_words(entry: Path) -> str:
    """Return what a file or folder in a folder is, and what to do; "" if it has nothing to do with weights."""
    from effconvert.formats.compressed import unread_in_words
    from effconvert.formats.foreign.folders import folder_in_words
    from effconvert.formats.foreign.texts import GIVE_WEIGHTS

    if entry.is_symlink() and not entry.resolve().is_relative_to(entry.parent.resolve()):
        return f"a link that leads out of the folder; give {entry.resolve()}"
    if entry.is_dir():
        return folder_in_words(entry, [inner.name for inner in islice(entry.iterdir(), _MOST_ENTRIES)])
    words = unread_in_words(entry) if entry.is_file() else ""
    return "" if words.endswith(GIVE_WEIGHTS) else words


def _folders(folder: Path) -> list[Path]:
    return (
        sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.is_symlink())
        if folder.is_dir()
        else []
    )


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)

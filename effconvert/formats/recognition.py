"""Tells formats apart by their bytes, and finds the checkpoint in a folder, an archive or behind a prefix."""

import re
import tempfile
from pathlib import Path

from effconvert.errors import MissingPath, UnreadableCheckpoint, listing
from effconvert.formats.checkpoint import Checkpoint
from effconvert.formats.safetensors import SafetensorsCheckpoint, is_safetensors

_SHARD = re.compile(r"(.+)\.data-\d{5}-of-\d{5}")
# The weights in a folder of Hugging Face, in the order in which transformers looks for them.
_IN_FOLDER = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_TABLE_END = bytes.fromhex("57fb808b247547db")  # of a TensorFlow index: its magic number
_ZIP = b"PK\x03\x04"
_OLD_TAR = "a tar file of PyTorch before 0.2; load it in torch and torch.save it again"


def open_checkpoint(path: str | Path, key: bytes | None = None) -> Checkpoint:
    """Open the checkpoint at `path` and list its tensors without reading them.

    `path` is a file, a folder, a TensorFlow prefix, a SavedModel's folder or a .tar.gz archive of one of these. The
    format follows from the content, never from the name. key: decrypts an encrypted MindSpore checkpoint.

    Raises MissingPath when nothing is there, UnreadableCheckpoint when it is no checkpoint, two, or a damaged one.
    """
    path = Path(path)
    try:
        return _open(path, key)
    except OSError as error:  # a name that is too long, a folder that may not be listed
        raise UnreadableCheckpoint(f"{path}: cannot be read: {error.strerror}") from error


def _open(path: Path, key: bytes | None) -> Checkpoint:
    if path.is_dir():
        named = next((path / name for name in _IN_FOLDER if (path / name).is_file()), None)
        return _open_file(named, key) if named else _open_tensorflow(_index_in(path))
    if not path.exists():
        index = path.with_name(path.name + ".index")
        if not index.exists():
            raise MissingPath(f"{path}: no such file or directory")
        return _open_tensorflow(index)
    if not path.is_file():
        raise UnreadableCheckpoint(f"{path}: neither a file nor a folder")
    return _open_file(path, key)


def _open_file(path: Path, key: bytes | None) -> Checkpoint:
    with path.open("rb") as file:
        start = file.read(512)
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_TABLE_END)))
        end = file.read()
    if end == _TABLE_END:
        return _open_tensorflow(path)
    if is_safetensors(start[:16], size):
        return SafetensorsCheckpoint(path)
    return _open_torch(path, start) or _open_other(path, start, key) or _open_companion(path, size)


# A format is imported where a file may be of it: each takes some milliseconds, which a short command would feel.


def _open_tensorflow(index: Path, shown: Path | None = None) -> Checkpoint:
    from effconvert.formats.tensorflow import TensorFlowCheckpoint

    return TensorFlowCheckpoint(index, shown=shown)


def _open_torch(path: Path, start: bytes) -> Checkpoint | None:
    """Open a file of torch.save, or a zip file of Keras; None for one that begins like neither."""
    from effconvert.formats.keras_archive import is_keras_archive
    from effconvert.formats.torch import TorchCheckpoint
    from effconvert.formats.torch_legacy import is_legacy, is_old_tar

    if start.startswith(_ZIP) and is_keras_archive(path):
        from effconvert.formats.keras import KerasCheckpoint

        return KerasCheckpoint(path)
    if is_old_tar(start):
        raise UnreadableCheckpoint(f"{path}: {_OLD_TAR}")
    return TorchCheckpoint(path) if start.startswith(_ZIP) or is_legacy(start) else None


def _open_other(path: Path, start: bytes, key: bytes | None) -> Checkpoint | None:
    from effconvert.formats.keras import KerasCheckpoint, is_hdf5
    from effconvert.formats.mindspore import MindSporeCheckpoint, is_mindspore
    from effconvert.formats.sharded import ShardedCheckpoint

    if is_mindspore(start):
        return MindSporeCheckpoint(path, key)
    if start.lstrip()[:1] == b"{":
        return ShardedCheckpoint(path, _open_shard)
    if start.startswith(b"\x1f\x8b") or start[257:262] == b"ustar":
        return _open_archive(path)
    return KerasCheckpoint(path) if is_hdf5(path) else None


def _open_shard(path: Path) -> Checkpoint:
    """Open one file of a sharded checkpoint; an index among its own shards must not be followed."""
    with path.open("rb") as file:
        start = file.read(512)
        size = file.seek(0, 2)
    if is_safetensors(start[:16], size):
        return SafetensorsCheckpoint(path)
    if checkpoint := _open_torch(path, start):
        return checkpoint
    raise UnreadableCheckpoint(f"{path}: a shard that is neither safetensors nor PyTorch's ({size:,} bytes)")


def _open_companion(path: Path, size: int) -> Checkpoint:
    """Open the checkpoint that `path`, one of its files without a signature of its own, belongs to."""
    shard = _SHARD.fullmatch(path.name)
    if shard or path.suffix == ".meta":
        index = path.with_name((shard[1] if shard else path.stem) + ".index")
        if not index.exists():
            raise UnreadableCheckpoint(f"{path}: its index {index.name} is not beside it")
        return _open_tensorflow(index)
    if path.name == "saved_model.pb" or path.name == "checkpoint":
        return _open_tensorflow(_index_in(path.parent))
    if path.suffix == ".index":
        raise UnreadableCheckpoint(f"{path}: a TensorFlow index that is damaged or cut off ({size:,} bytes)")
    raise UnreadableCheckpoint(
        f"{path}: not a checkpoint that is known here (TensorFlow V2 bundle, SavedModel or .tar.gz of one, "
        "safetensors, PyTorch, MindSpore, HDF5 or .keras of Keras, an index of shards)"
    )


def _index_in(folder: Path) -> Path:
    """Return the one `.index` of a checkpoint's or SavedModel's folder, or of the one folder in it that has one."""
    indices = _indices(folder, ".", "variables") or _indices(folder, "*", "*/*") or _version_1(folder)
    if not indices:
        content = sorted(entry.name for entry in folder.iterdir())
        found = f"found only {', '.join(content[:5])}{' …' if len(content) > 5 else ''}" if content else "it is empty"
        raise UnreadableCheckpoint(f"{folder}: holds no TensorFlow checkpoint (no .index file; {found})")
    if len(indices) > 1:
        prefixes = [str(index).removesuffix(".index") for index in indices]
        heading = f"{folder}: holds {len(indices)} checkpoints; give the one you mean:"
        raise UnreadableCheckpoint(listing(heading, [*prefixes, *_latest(folder)]))
    return indices[0]


def _indices(folder: Path, *depths: str) -> list[Path]:
    found = (index for depth in depths for index in folder.glob(f"{depth}/*.index"))
    return sorted(index for index in found if not index.name.startswith("."))  # ._x.index is what macOS adds


def _version_1(folder: Path) -> list[Path]:
    """Return a file that is a table of its own, as TensorFlow wrote checkpoints before its second version."""
    for path in sorted(folder.glob("*.ckpt*"))[:20]:
        if path.is_file():
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - len(_TABLE_END)))
                if file.read() == _TABLE_END:
                    return [path]
    return []


def _latest(folder: Path) -> list[str]:
    """Return what the folder's `checkpoint` file calls the latest, as a hint."""
    state = folder / "checkpoint"
    if not state.is_file():
        return []
    with state.open(errors="replace") as file:
        match = re.search(r'^model_checkpoint_path: "([^"]+)"', file.read(65536), re.MULTILINE)
    return [f"(its file 'checkpoint' names {match[1]!r} as the latest)"] if match else []


def _open_archive(path: Path) -> Checkpoint:
    """Open the checkpoint in an archive, unpacked into a folder that lasts as long as the checkpoint is open."""
    from effconvert.archive import extract

    temporary = tempfile.TemporaryDirectory(prefix="effconvert-")
    try:
        folder = Path(temporary.name) / path.name
        index = _index_in(extract(path, folder))
        checkpoint = _open_tensorflow(index, shown=path / index.relative_to(folder))
    except UnreadableCheckpoint as error:
        temporary.cleanup()
        raise UnreadableCheckpoint(str(error).replace(f"{temporary.name}/{path.name}", str(path))) from error
    except BaseException:
        temporary.cleanup()
        raise
    checkpoint.on_close(temporary.cleanup)
    return checkpoint

"""The opening of a checkpoint: a file of any format, a folder, an archive or a TensorFlow prefix."""

import re
from contextlib import ExitStack
from pathlib import Path

from effconvert.budget import guarded
from effconvert.errors import MissingPath, UnreadableCheckpoint
from effconvert.formats.checkpoint import Checkpoint
from effconvert.formats.shards import piece_in_words, refuse_part
from effconvert.formats.signatures import Format, format_of
from effconvert.formats.tensorflow.index_files import holds_index, index_in
from effconvert.paths import missing_in_words
from effconvert.temporary import temporary_folder

_SHARD = re.compile(r"(.+)\.data-\d{5}-of-\d{5}")
_KNOWN = (
    "TensorFlow V2 bundle, SavedModel or .tar.gz of one, safetensors, PyTorch, MindSpore, HDF5 or .keras of Keras, an "
    "index of shards, ONNX of effconvert"
)


def open_checkpoint(path: str | Path, key: bytes | None = None) -> Checkpoint:
    """Open the checkpoint at `path` and list its tensors without reading them.

    `path` is a file, a folder that holds one checkpoint, a TensorFlow prefix, a SavedModel's folder or a .tar.gz
    archive of one of these. The format follows from the content, never from the name. key: decrypts an encrypted
    MindSpore checkpoint.

    Raises MissingPath if `path` does not exist. Raises UnreadableCheckpoint, which says what it is, if it is not a
    checkpoint, or if it is several, a part of one, or a damaged one.

    Example: `effconvert.open_checkpoint("b0.safetensors").read("stem.conv.weight")` is an array [32, 3, 3, 3]; in a
    `with` block the file is closed at its end.
    """
    try:
        with guarded(path):
            return _open(Path(path), key)
    except OSError as error:  # a name that is too long, a folder without permission
        raise UnreadableCheckpoint(f"{path}: cannot be read: {error.strerror}") from error


def _open(path: Path, key: bytes | None) -> Checkpoint:
    if path.is_dir():
        return _open_folder(path, key)
    if not path.exists():
        index = path.with_name(path.name + ".index")
        if not index.exists():
            raise MissingPath(missing_in_words(path))
        return _open_tensorflow(index)
    if not path.is_file():
        raise UnreadableCheckpoint(
            f"{path}: neither a file nor a folder; save the output of a pipe or device to a file first, since a "
            "checkpoint is read by position"
        )
    return _open_file(path, key)


def _open_folder(folder: Path, key: bytes | None) -> Checkpoint:
    from effconvert.formats.checkpoint_folders import open_in_folder

    def opens(path: Path) -> Checkpoint:
        return _open_tensorflow(path) if path.suffix == ".index" else _open_file(path, key)

    try:
        return open_in_folder(folder, opens)
    except UnreadableCheckpoint:
        if words := _other_use(folder):
            raise UnreadableCheckpoint(f"{folder}: {words}") from None
        raise


def _other_use(path: Path) -> str:
    """Return what a file or folder without a checkpoint is, and the command that takes it; "" if that is not known."""
    from effconvert.formats.file_kinds import other_use

    kind = other_use(path)
    return f"not a checkpoint but {kind.in_words()}" if kind else ""


def _open_file(path: Path, key: bytes | None) -> Checkpoint:
    """Open the checkpoint in the file at `path`, or the one that it belongs to; a shard is refused."""
    try:
        form = format_of(path)
        checkpoint = _open_known(path, form, key) or _open_companion(path)
    except UnreadableCheckpoint:
        if words := piece_in_words(path) or _other_use(path):
            raise UnreadableCheckpoint(f"{path}: {words}") from None
        raise
    if checkpoint.files == (path,):
        try:
            refuse_part(path, search=form is not Format.TORCH)
        except UnreadableCheckpoint:
            checkpoint.close()
            raise
    return checkpoint


# A format is imported only when a file has it: each import takes some milliseconds, too much for a short command.


def _open_known(path: Path, form: Format | None, key: bytes | None) -> Checkpoint | None:
    """Open a file of a known format; None for any other file."""
    match form:
        case Format.TENSORFLOW:
            return _open_tensorflow(path)
        case Format.MINDSPORE:
            from effconvert.formats.mindspore.file import MindSporeCheckpoint

            return MindSporeCheckpoint(path, key)
        case Format.KERAS:
            from effconvert.formats.keras.file import KerasCheckpoint

            return KerasCheckpoint(path)
        case Format.ONNX:
            from effconvert.formats.onnx.file import OnnxCheckpoint

            return OnnxCheckpoint(path)
        case Format.JSON:
            from effconvert.formats.sharded import ShardedCheckpoint

            return ShardedCheckpoint(path, _open_shard)
        case Format.ARCHIVE:
            return _open_archive(path)
        case _:
            return _open_torch_or_safetensors(path, form)


def _open_torch_or_safetensors(path: Path, form: Format | None) -> Checkpoint | None:
    from effconvert.formats.safetensors import SafetensorsCheckpoint

    if form is Format.SAFETENSORS:
        return SafetensorsCheckpoint(path)
    if form is Format.TORCH:
        from effconvert.formats.torch.file import TorchCheckpoint

        return TorchCheckpoint(path)
    return None


def _open_shard(path: Path) -> Checkpoint:
    """Open one file of a sharded checkpoint; an index among the shards is refused."""
    if checkpoint := _open_torch_or_safetensors(path, format_of(path)):
        return checkpoint
    known = _unread_in_words(path)
    found = f", but {known}" if known else f" ({path.stat().st_size:,} bytes)"
    raise UnreadableCheckpoint(f"{path}: a shard that is neither safetensors nor PyTorch's{found}")


def _open_tensorflow(index: Path, shown: Path | None = None) -> Checkpoint:
    from effconvert.formats.tensorflow.bundle import TensorFlowCheckpoint

    try:
        return TensorFlowCheckpoint(index, shown=shown)
    except UnreadableCheckpoint:
        # If a pointer or a web page is in place of the index, say so, and not what is damaged.
        if index.is_file() and (words := _text_in_words(index)):
            raise UnreadableCheckpoint(f"{shown or index}: not a checkpoint but {words}") from None
        raise


def _open_companion(path: Path) -> Checkpoint:
    """Open the checkpoint that `path` belongs to, a file without a signature."""
    shard = _SHARD.fullmatch(path.name)
    if shard or path.suffix == ".meta":
        index = path.with_name((shard[1] if shard else path.stem) + ".index")
        if not index.exists():
            raise UnreadableCheckpoint(f"{path}: its index {index.name} is not beside it")
        return _open_tensorflow(index)
    if path.name in ("saved_model.pb", "checkpoint") and holds_index(path.parent):
        return _open_tensorflow(index_in(path.parent))
    if path.suffix == ".index" and not _text_in_words(path):
        words = f"a TensorFlow index that is damaged or cut off ({path.stat().st_size:,} bytes)"
    else:
        known = _unread_in_words(path)
        words = f"not a checkpoint but {known}" if known else f"not a checkpoint of a known format ({_KNOWN})"
    raise UnreadableCheckpoint(f"{path}: {words}")


def _text_in_words(path: Path) -> str:
    from effconvert.formats.foreign.files import look_at
    from effconvert.formats.foreign.texts import text_in_words

    look = look_at(path)
    return text_in_words(look.head, look.size)


def _unread_in_words(path: Path) -> str:
    from effconvert.formats.compressed import unread_in_words

    return unread_in_words(path)


def _open_archive(path: Path) -> Checkpoint:
    """Open the checkpoint in an archive, unpacked into a folder that is removed when the checkpoint is closed."""
    from effconvert.formats.archive import extract

    with ExitStack() as exits:
        folder = exits.enter_context(temporary_folder()) / path.name
        try:
            index = index_in(extract(path, folder))
            checkpoint = _open_tensorflow(index, shown=path / index.relative_to(folder))
        except UnreadableCheckpoint as error:
            raise UnreadableCheckpoint(str(error).replace(str(folder), str(path))) from error
        checkpoint.on_close(exits.pop_all().close)
    return checkpoint

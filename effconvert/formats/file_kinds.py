"""Files that a command may be given by mistake, recognised by their bytes, and the command that takes each.

They are what effconvert writes beside checkpoints (runs, predictions, features, results as JSON), maps, images, and
checkpoints themselves.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.signatures import Format, format_of
from effconvert.formats.strict_json import parse_json
from effconvert.formats.torch.zip import begins_like_torch
from effconvert.formats.zip_directory import FAILURES, MAGIC, read_directory
from effconvert.option_words import either
from effconvert.preprocessing.image_files import SUFFIXES

_LARGEST_JSON = 1 << 26
_HEAD = 1 << 14
_MOST_ENTRIES = 1000  # of a folder in which images are sought


@dataclass(frozen=True)
class FileKind:
    """A kind of file: what it is, the command that takes it, and the function of Python, if there is one."""

    words: str
    command: str
    function: str = ""

    def in_words(self) -> str:
        """Return what it is and what takes it, in one line."""
        return f"{self.words}; {either(self.command, self.function or self.command)}"


CHECKPOINT = FileKind(
    "weights",
    "`effconvert diff` compares the tensors of two files, `effconvert verify` the networks",
    "effconvert.diff compares the tensors of two files, effconvert.verify the networks",
)
RUN = FileKind("a run of `effconvert run`", "`effconvert compare` compares two of them")
PREDICTIONS = FileKind(
    "the predictions of `effconvert validate`",
    "`effconvert compare` compares two of them, `effconvert report` reports them",
    "effconvert.validate.read_predictions reads them",
)
VERIFICATION = FileKind(
    "the result of `effconvert verify --json`", "`effconvert report --verify` reports it", "json.load reads it"
)
_BY_RECORD = {
    "run.npy": RUN,
    "validation.npy": PREDICTIONS,
    "record.npy": FileKind("the features of `effconvert features`", "numpy.load reads them"),
}
_BY_SCHEMA = {
    "verification": VERIFICATION,
    "report": FileKind("the report.json of `effconvert report`", "report.html beside it shows it"),
}
RESULT = FileKind("a result of `--json`", "no command reads it", "json.load reads it")
_MAP = FileKind(
    "a map", "`--map` adds it to a command, `effconvert map check` checks it", "effconvert.add_maps adds it"
)
_IMAGE = FileKind(
    "an image",
    "`effconvert predict FILE IMAGE` takes it after the checkpoint",
    "effconvert.preprocess prepares it for a network",
)
_IMAGES = FileKind(
    "a folder of images",
    "`effconvert validate --data FOLDER` measures with them, `effconvert predict FILE FOLDER` takes them after the "
    "checkpoint",
    "effconvert.validate.measure_accuracy measures with them",
)
# The first bytes of JPEG, PNG, GIF, BMP with its reserved zeros, TIFF, WebP.
_IMAGE_BYTES = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|BM.{4}\0{4}|II\*\0|MM\0\*|RIFF.{4}WEBP", re.DOTALL)
_MAP_TEXT = re.compile(r"^layout\s*=\s*[\"'].*^\[(?:library|variants|layers|kinds)\]", re.DOTALL | re.MULTILINE)


def other_use(path: Path) -> FileKind | None:
    """Return what the file or folder at `path` is, if it is not a checkpoint and its command is known."""
    try:
        return _kind_of_folder(path) if path.is_dir() else _kind_of_file(path)
    except OSError:
        return None


def kind_of(path: Path) -> FileKind | None:
    """Return what the file or folder at `path` is, a checkpoint too; None if that is not known."""
    if found := other_use(path):
        return found
    with suppress(OSError):
        files = _files(path) if path.is_dir() else [path] if path.is_file() else []
        return CHECKPOINT if any(map(_holds_weights, files)) else None
    return None


def _holds_weights(path: Path) -> bool:
    form = format_of(path)
    if form is Format.TORCH:  # as any zip file whose records must be read before it can be refused
        start = _head(path)
        return not start.startswith(MAGIC) or begins_like_torch(start)
    return form not in (None, Format.JSON, Format.ARCHIVE)


def _kind_of_file(path: Path) -> FileKind | None:
    head = _head(path)
    if head.startswith(MAGIC):
        return _kind_of_archive(path)
    if _IMAGE_BYTES.match(head):
        return _IMAGE
    if head.lstrip()[:1] == b"{":
        return _kind_of_json(path)
    return _MAP if _MAP_TEXT.search(head.decode(errors="replace")) else None


def _kind_of_archive(path: Path) -> FileKind | None:
    try:
        with DataFile(path) as archive:
            records = read_directory(archive)
    except (*FAILURES, UnreadableCheckpoint):
        return None
    if not all(name.endswith(".npy") for name in records):
        return None
    return next((kind for record, kind in _BY_RECORD.items() if record in records), None)


def _kind_of_json(path: Path) -> FileKind | None:
    try:
        with DataFile(path) as file:
            found = parse_json(file.whole(_LARGEST_JSON, " are too many for a result"), file.budget)
    except (ValueError, RecursionError, UnreadableCheckpoint):
        return None
    schema = re.fullmatch(r"effconvert/(\w+)/\d+", str(found.get("schema", "")))
    return _BY_SCHEMA.get(schema[1], RESULT) if schema else None


def _kind_of_folder(folder: Path) -> FileKind | None:
    """Return the kind of a folder that holds images, or folders of them, and nothing else but text."""
    entries = list(islice(folder.iterdir(), _MOST_ENTRIES))
    inside = [file for entry in entries[:3] if entry.is_dir() for file in islice(entry.iterdir(), _MOST_ENTRIES)]
    files = [file for file in (*entries, *inside) if file.suffix]
    images = [file for file in files if file.suffix.lower() in SUFFIXES]
    return _IMAGES if images and 2 * len(images) > len(files) else None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _files(folder: Path) -> list[Path]:
    return [file for file in islice(folder.iterdir(), _MOST_ENTRIES) if file.is_file()]

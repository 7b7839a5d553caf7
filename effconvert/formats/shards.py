"""Recognition of parts of a checkpoint, by the name of a file and by the index beside it.

Names are those of transformers, DeepSpeed, Megatron and MindSpore. Numbered files that may also be several whole
checkpoints are taken for parts, because a part that is taken for the whole would be a wrong network.
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from effconvert.budget import Budget
from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.strict_json import parse_json

_MOST_ENTRIES = 10_000  # entries of a folder that are read
_MOST_INDICES = 20
_LARGEST_INDEX = 8 << 20
_MOST_NAMED = 5
_DIGITS = 5  # digits of the numbers in names of transformers
_INDEX_ENDINGS = (".index.json", ".weights.json")

_OF = re.compile(r"(?P<word>[a-z]*)[-_. =]?(?<!\d)(?P<number>\d{1,5})[-_. ]?of[-_. ]?(?P<total>\d{1,5})(?!\d)", re.I)
# Words before "1 of 5" that number whole checkpoints.
_WHOLE = frozenset(
    "fold folds cv split run trial seed epoch epochs ep e step iter iteration stage phase round task member ensemble"
    " try attempt experiment exp cycle day week top best version v k".split()
)
_RANK = re.compile(r"(?<![a-z])rank[-_]?(?P<number>\d{1,5})(?!\d)")
_NOT_A_RANK = re.compile(r"(?:low|lora)[-_]?rank")
_CONSOLIDATED = re.compile(r"consolidated\.(?P<number>\d\d)(?=\.)")
_RANK_FOLDER = re.compile(r"(?:[a-z]+[-_])?(?:rank|device)[-_]?(?P<number>\d{1,5})(?:_\d+)?")
_PIECE = re.compile(r"(?P<whole>.+\.\w+)\.(?P<number>\d{3}|part\d{1,3}|a[a-z])")


@dataclass(frozen=True)
class Numbered:
    """A file whose name says that it is number `number` of `total`; before, after: the name around both."""

    before: str
    number: str
    between: str
    total: str
    after: str

    def names(self, first: int) -> list[str]:
        """Return the names of all of them, numbered from `first`."""
        numbers = (str(n).zfill(len(self.number)) for n in range(first, first + int(self.total)))
        return [f"{self.before}{n}{self.between}{self.total}{self.after}" for n in numbers]

    @property
    def index(self) -> str:
        """The name that transformers gives to the index."""
        return f"{self.before.rstrip('-_. ')}{self.after}.index.json"


def refuse_part(path: Path, search: bool) -> None:
    """Raise UnreadableCheckpoint if the file at `path` is one of several parts of a checkpoint.

    search: whether to list the folder for an index of any name, or only to try the usual names: opening a pickle must
    do nothing except open files.
    """
    for words in (_by_index(path, search), _by_number(path), _by_rank(path), _by_folder(path)):
        if words:
            raise UnreadableCheckpoint(f"{path}: {words}")


def piece_in_words(path: Path) -> str:
    """Return what a file is and what to do if it is a piece of a split file; "" for other files."""
    match = _PIECE.fullmatch(path.name)
    if not match:
        return ""
    others = {
        name
        for name in _names_in(path.parent)
        if (other := _PIECE.fullmatch(name)) and other["whole"] == match["whole"] and len(name) == len(path.name)
    }
    pieces = sorted({path.name, *others})
    if len(pieces) < 2:
        return ""
    joined = " ".join(shlex.quote(name) for name in pieces)
    return (
        f"piece {pieces.index(path.name) + 1} of a file that was split into {len(pieces)} or more; join them first: "
        f"cat {joined} > {shlex.quote(match['whole'])}"
    )


def numbered(name: str) -> Numbered | None:
    """Return the numbers in a name like model-00001-of-00004.safetensors; None if they are not those of parts."""
    for match in _OF.finditer(name):
        number, total = int(match["number"]), int(match["total"])
        if match["word"].lower() not in _WHOLE and total > 1 and number <= total:
            (begin, end), (start, stop) = match.span("number"), match.span("total")
            return Numbered(name[:begin], name[begin:end], name[end:start], name[start:stop], name[stop:])
    return None


def is_plain(name: Any) -> bool:
    """Return whether a name in an index is the plain name of a file beside it."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= 255
        and name.isprintable()
        and name not in (".", "..")
        and not set(name) & set("/\\:")
    )


def _by_index(path: Path, search: bool) -> str:
    """Return a sentence if an index beside the file names it among others; else ""."""
    for index, shards in _indices(path, search):
        if path.name in shards and len(shards) > 1:
            missing = _missing(path, sorted(shards))
            lacking = f", and get {missing}, which {_are(missing)} not there" if missing else ""
            return f"one of {len(shards)} shards of one checkpoint; give {index.name}, which names them all{lacking}"
    return ""


def _by_number(path: Path) -> str:
    """Return a sentence if the file's own name has a number among several; else ""."""
    parts = numbered(path.name)
    if parts is None:
        return ""
    from_zero = not int(parts.number) or path.with_name(parts.names(0)[0]).is_file()
    missing = _missing(path, parts.names(0 if from_zero else 1))
    lacking = f" and {missing}, which {_are(missing)} not there" if missing else ""
    index = parts.index if len(parts.number) == _DIGITS else "the index of the shards"
    return (
        f"by its name number {int(parts.number)} of {int(parts.total)} shards of one checkpoint; get {index}{lacking}, "
        "and give the index; or rename the file, if it holds the whole network"
    )


def _by_rank(path: Path) -> str:
    """Return a sentence if the name says that one of several processes wrote the file; else ""."""
    name = path.name.lower()
    match = _CONSOLIDATED.match(name) or _RANK.search(name)
    if not match or _NOT_A_RANK.search(name):
        return ""
    begin, end = match.span("number")
    pattern = re.compile(f"{re.escape(name[:begin])}\\d{{1,5}}{re.escape(name[end:])}")
    others = [other for other in _names_in(path.parent) if pattern.fullmatch(other.lower()) and other != path.name]
    if not others and not int(match["number"]):
        return ""
    beside = f" (beside it: {_listed(sorted(others))})" if others else ""
    return (
        f"by its name the file of process {int(match['number'])} of several, which may be a slice{beside}; join the "
        "slices with the framework that wrote them, or rename the file if it holds the whole network"
    )


def _by_folder(path: Path) -> str:
    """Return a sentence if folders of other processes have a file of the same name; else ""."""
    folder = path.absolute().parent
    match = _RANK_FOLDER.fullmatch(folder.name.lower())
    if not match:
        return ""
    others = sorted(
        name
        for name in _names_in(folder.parent)
        if name != folder.name and _RANK_FOLDER.fullmatch(name.lower()) and (folder.parent / name / path.name).is_file()
    )
    if not others:
        return ""
    return (
        f"the file of one of {len(others) + 1} processes, which may be a slice (a file of that name is in "
        f"{_listed(others)} too); join the slices with the framework that wrote them (MindSpore: "
        "mindspore.transform_checkpoints), or copy the file elsewhere if it holds the whole network"
    )


def _usual_indices(path: Path) -> list[str]:
    """Return the names that transformers and others give to the index of a shard with this name."""
    parts = numbered(path.name)
    unnumbered = re.sub(r"[-_.]?\d+$", "", path.stem) + path.suffix
    names = (path.name, path.stem, unnumbered, "model.safetensors", "pytorch_model.bin")
    return [*([parts.index] if parts else []), *(f"{name}.index.json" for name in names)]


def _indices(path: Path, search: bool) -> Iterator[tuple[Path, set[str]]]:
    """Yield every index of shards beside the file that holds its name, and the shards that it names."""
    names = _names_in(path.parent) if search else _usual_indices(path)
    for name in sorted({name for name in names if name.endswith(_INDEX_ENDINGS)})[:_MOST_INDICES]:
        index = path.with_name(name)
        try:
            if not index.is_file() or index.stat().st_size > _LARGEST_INDEX:
                continue
            content = index.read_text(encoding="utf-8")
            if json.dumps(path.name)[1:-1] not in content and path.name not in content:
                continue
            shards = parse_json(content, Budget(index, len(content)))["weight_map"].values()
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError, UnreadableCheckpoint):
            continue  # opening it gives the error
        named = (name for shard in shards for name in (shard if isinstance(shard, list) else [shard]))
        yield index, {name for name in named if is_plain(name)}


def _names_in(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in islice(folder.iterdir(), _MOST_ENTRIES)]
    except OSError:
        return []


def _missing(path: Path, names: list[str]) -> str:
    return _listed([name for name in names if not path.with_name(name).is_file()])


def _are(listed: str) -> str:
    return "are" if " and " in listed or "…" in listed else "is"


def _listed(names: list[str]) -> str:
    shown = [name if name.isprintable() else ascii(name) for name in names[:_MOST_NAMED]]
    if len(names) > _MOST_NAMED:
        return f"{', '.join(shown)}, … ({len(names)} in all)"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)

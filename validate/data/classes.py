"""Class lists: names and order of the classes of a data set, ImageNet's 1,000 or the user's own.

ImageNet's are in `reference/imagenet_classes.csv`, in the order of their synsets, as the logits of every network.
`ilsvrc_id` is the number in the ILSVRC2012 development kit, which has another order. The names are
torchvision's; the lemmas are WordNet 3.0's; the group is the nearest of 44 chosen hypernyms in WordNet 3.0.
"""

import csv
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from effconvert.errors import DatasetProblem, listing
from effconvert.paths import require_path
from effconvert.validate.data.text_lines import is_json, read_json, read_lines

IMAGENET = "imagenet-1k"
_WHAT = "a list of classes"


@dataclass(frozen=True)
class ClassList:
    """The classes of a data set, index = class.

    name: "imagenet-1k", or the source of the user's own list. identifiers: in folder names and labels (synsets).
    names: for people. groups: the group of each class, () where unknown.
    """

    name: str
    identifiers: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.identifiers)

    def described(self, index: int) -> str:
        """Return the class for a message: its identifier, and its name where that is different."""
        identifier, name = self.identifiers[index], self.names[index]
        return identifier if identifier == name else f"{identifier} ({name})"

    def places(self) -> dict[str, int]:
        """Return {identifier or name: index}, without names that two classes share."""
        counts = Counter(self.names)
        found = {name: index for index, name in enumerate(self.names) if counts[name] == 1}
        return found | {identifier: index for index, identifier in enumerate(self.identifiers)}


@cache
def imagenet_classes() -> ClassList:
    """Return ImageNet's 1,000 classes in the order of their synsets."""
    rows = imagenet_rows()
    columns = (tuple(row[column] for row in rows) for column in ("synset", "name", "group"))
    return ClassList(IMAGENET, *columns)


@cache
def imagenet_rows() -> tuple[dict[str, str], ...]:
    """Return the rows of `reference/imagenet_classes.csv`: index, synset, ilsvrc_id, name, lemmas, group."""
    text = files("effconvert.reference").joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


def read_classes(path: str | Path) -> ClassList:
    """Return the class list in a file: a line `identifier` or `identifier,name` for each class, or JSON.

    JSON is a list of names, or {index: name} as Hugging Face's `id2label`, from 0 and without gaps.

    Raises MissingPath; DatasetProblem for a file that is neither, has no classes, or has one twice.
    """
    path = require_path(path)
    rows = _from_json(path) if is_json(path, _WHAT) else _from_lines(path)
    identifiers = [row[0] for row in rows]
    problems = [f"{name!r} occurs {count} times" for name, count in Counter(identifiers).items() if count > 1]
    if not rows:
        problems.append("it contains no classes")
    if problems:
        raise DatasetProblem(listing(f"{path}: not a list of classes:", problems))
    if tuple(identifiers) == imagenet_classes().identifiers:
        return imagenet_classes()
    return ClassList(path.name, tuple(identifiers), tuple(row[-1] for row in rows))


def _from_lines(path: Path) -> list[list[str]]:
    try:
        rows = csv.reader(line for _, line in read_lines(path, _WHAT))
        fields = ([field.strip() for field in row[:2]] for row in rows)
        return [found for row in fields if (found := [field for field in row if field])]
    except csv.Error as error:
        raise DatasetProblem(f"{path}: cannot be read as {_WHAT}: {error}") from error


def _from_json(path: Path) -> list[list[str]]:
    content = read_json(path)
    if isinstance(content, dict):
        content = content.get("id2label", content)
    if isinstance(content, dict):
        expected = [str(index) for index in range(len(content))]
        if sorted(content, key=lambda key: (len(key), key)) != expected:
            raise DatasetProblem(f"{path}: expected {{index: name}} with every index from 0 to {len(content) - 1}")
        content = [content[index] for index in expected]
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise DatasetProblem(f"{path}: expected class names as a list or as {{index: name}}")
    return [[name] for name in content]

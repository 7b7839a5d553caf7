"""Names of a library's networks and trainings as evidence for a file.

The names are in strings that a training keeps beside the weights, in a config.json beside the file, or in the file's
own name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effconvert.architecture.variants import Variant
from effconvert.errors import LayoutMismatch, UnreadableCheckpoint
from effconvert.formats.checkpoint import INNER_KEYS, NETWORK_KEYS, OTHER_KEYS, Checkpoint
from effconvert.formats.strict_json import read_json_object
from effconvert.maps.language import Build, Layout
from effconvert.option_words import option
from effconvert.reference_tables.file_names import misnamed_files
from effconvert.reference_tables.reading import recipe_tables
from effconvert.reference_tables.weights import Published, weights_table

_TEACHER = "teacher"
_LEVELS = 3


def recorded_texts(checkpoint: Checkpoint) -> Iterator[tuple[str, str, bool]]:
    """Yield (place, string, whether it is meant as a network's name) for strings beside the weights.

    Prefixes of timm and segmentation-models-pytorch are removed: `hf_hub:timm/efficientnet_b0.ra_in1k` becomes
    `efficientnet_b0.ra_in1k`, and `tu-efficientnet_b0` becomes `efficientnet_b0`.
    """
    config = _flat(read_config(checkpoint.path), (), _LEVELS)
    kept = ((tuple(re.split("[/.]", key)), text) for key, text in checkpoint.metadata.items())
    for file, found in (("", kept), ("config.json", config)):
        for way, text in found:
            *before, last = (key.lower() for key in way)
            inner = bool(before) and last in INNER_KEYS
            deciding = before[-1] if inner else last
            if deciding in (*NETWORK_KEYS, *OTHER_KEYS) and _TEACHER not in before:
                where = file or ".".join(way[-2:] if inner else way[-1:])
                yield where, text.rpartition("/")[2].removeprefix("tu-"), deciding in NETWORK_KEYS


def read_config(path: Path) -> dict[str, Any]:
    """Return the config.json beside the file or in the folder at `path`; empty if there is no valid one."""
    try:
        return read_json_object((path if path.is_dir() else path.parent) / "config.json")
    except UnreadableCheckpoint:
        return {}


def recorded_epsilon(checkpoint: Checkpoint) -> Iterator[float]:
    """Yield the BatchNorm epsilon in the arguments of a timm training."""
    text = checkpoint.metadata.get("args/bn_eps", "")
    try:
        value = float(text)
    except ValueError:
        return
    if 0 < value < 1:
        yield value


def _flat(values: Mapping[str, Any], before: tuple[str, ...], levels: int) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, value in values.items():
        if isinstance(value, str):
            yield (*before, key), value
        elif isinstance(value, dict) and levels > 1:
            yield from _flat(value, (*before, key), levels - 1)


@dataclass(frozen=True)
class Saying:
    """A string that names a network.

    where: its place. text: the string, or the part of it that is a name. build: the library's network with this name.
    foreign: whether it names another network, with other tensors. reason: why a network with the same tensors computes
    something else.
    """

    where: str
    text: str
    build: Build | None = None
    foreign: bool = False
    reason: str = ""


def recorded_sayings(checkpoint: Checkpoint, layout: Layout, variant: Variant, builds: list[Build]) -> list[Saying]:
    """Return the names in strings beside the weights; strings of any meaning count only if they are a known name."""
    named = _builds_by_name(layout, variant, builds)
    found = [(_saying(where, text, layout, named), meant) for where, text, meant in recorded_texts(checkpoint)]
    return [saying for saying, meant in found if meant or saying.build or saying.foreign or saying.reason]


def saying_of_the_name(path: Path, layout: Layout, variant: Variant, builds: list[Build]) -> Saying | None:
    """Return the longest known name in the file's own name; None if there is none."""
    shown = path.name.replace("-", "_")
    named = {name.replace("-", "_"): build for name, build in _builds_by_name(layout, variant, builds).items()}
    held = [name for name in (*named, *layout.same_tensors) if name in shown]
    held += [match[0] for pattern in layout.other_tensors if (match := _pattern(pattern).search(shown))]
    longest = max(held, key=len, default=None)
    return _saying("name", longest, layout, named) if longest else None


def require_known_network(path: Path, layout: Layout, sayings: list[Saying]) -> None:
    """Raise LayoutMismatch if a string names a network with the same tensors that computes something else."""
    for saying in sayings:
        if saying.reason:
            raise LayoutMismatch(
                f"{path}: its {saying.where} says {saying.text!r}, which is another network of {layout.name}'s, with "
                f"the same tensors: {saying.reason}. It cannot be converted; if the file is for another network, give "
                f"its facts, which take precedence ({option('facts', {'padding': '…', 'bn_eps': '…'})})"
            )


def recorded_training(checkpoint: Checkpoint, layout: str, variant: str) -> tuple[str, str] | None:
    """Return (training of the weights, evidence); None if there is no evidence, or if strings disagree.

    Evidence is timm's config.json; a string beside the weights with the network and its training, in timm's form today
    (`tf_efficientnet_b0.ns_jft_in1k`) or before 0.9 (`tf_efficientnet_b0_ns`); or the published name of the file. Names
    that several files have (`model.safetensors`) do not count.
    """
    rows = [
        row for row in weights_table() if row.variant == variant and layout in recipe_tables()[row.recipe]["layouts"]
    ]
    said = read_config(checkpoint.path).get("pretrained_cfg")
    tag = said.get("tag") if isinstance(said, dict) else None
    texts = list(recorded_texts(checkpoint))
    name = checkpoint.path.name
    misnamed = misnamed_files().get(name)
    telling = sum(row.file_name == name for row in weights_table()) == 1
    for found in (
        [(row.weights, "config.json") for row in rows if row.weights == tag],
        [(row.weights, where) for row in rows for where, text, _ in texts if text in _training_names(row)],
        [
            (row.weights, "name")
            for row in rows
            if (telling and name == row.file_name)
            or name.startswith(f"{row.network}.{row.weights}.")
            or (misnamed and misnamed.is_of(row))
        ],
    ):
        if found:
            return found[0] if len({weights for weights, _ in found}) == 1 else None
    return None


def build_name(layout: Layout, variant: Variant, build: Build) -> str:
    """Return the library's name of the network that `build` makes."""
    own = layout.variants[variant.name]
    return build.names[0].replace("{variant}", own) if build.names else f"{layout.name} {own}"


def _saying(where: str, text: str, layout: Layout, named: Mapping[str, Build]) -> Saying:
    """Return the network in `text`: a name of today, with or without its training (`.ra_in1k`), or an older name."""
    name = text.partition(".")[0]
    older = (row.network for row in weights_table() if name.startswith(row.network) and name in _training_names(row))
    if build := named.get(name) or named.get(next(older, "")):
        return Saying(where, text, build)
    if reason := layout.same_tensors.get(name):
        return Saying(where, name, reason=reason)
    foreign = any(_pattern(pattern).fullmatch(name) for pattern in layout.other_tensors)
    return Saying(where, name if foreign else text, foreign=foreign)


def _builds_by_name(layout: Layout, variant: Variant, builds: list[Build]) -> dict[str, Build]:
    own = layout.variants[variant.name]
    named = {name.replace("{variant}", own): build for build in builds for name in build.names}
    aliases = {alias.replace("{variant}", own): of.replace("{variant}", own) for alias, of in layout.aliases.items()}
    return {**{alias: named[of] for alias, of in aliases.items() if of in named}, **named}


def _training_names(row: Published) -> Iterator[str]:
    """Yield the names of a published network that include its training."""
    yield f"{row.network}.{row.weights}"
    if row.older_name:
        yield row.older_name


def _pattern(text: str) -> re.Pattern[str]:
    """Return a pattern for a name, with letters and digits for every `*`, that matches up to the end of a name."""
    return re.compile("[a-z0-9]+".join(map(re.escape, text.split("*"))) + "(?![a-z0-9])")

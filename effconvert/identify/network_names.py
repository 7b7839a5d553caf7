"""The names by which the networks and trainings of a library go, where a file says one, and what that says of it.

A training keeps texts beside the weights, a config.json lies beside the file, and the file itself has a name.
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
from effconvert.reference_tables.file_names import misnamed_files
from effconvert.reference_tables.reading import recipe_tables
from effconvert.reference_tables.weights import Published, weights_table

_TEACHER = "teacher"
_LEVELS = 3


def recorded_texts(checkpoint: Checkpoint) -> Iterator[tuple[str, str, bool]]:
    """Yield (where it stands, text, whether it is meant for a network) of what is kept beside the weights.

    timm's and segmentation-models-pytorch's spellings lose what says whence: `hf_hub:timm/efficientnet_b0.ra_in1k` is
    `efficientnet_b0.ra_in1k`, and `tu-efficientnet_b0` is `efficientnet_b0`.
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
    """Return the config.json beside the file or in the folder at `path`, empty where there is none of use."""
    try:
        return read_json_object((path if path.is_dir() else path.parent) / "config.json")
    except UnreadableCheckpoint:
        return {}


def recorded_epsilon(checkpoint: Checkpoint) -> Iterator[float]:
    """Yield the BatchNorm epsilon that a timm training was told to take."""
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
    """What a text says of a file.

    where: it stands. text: itself, or the part of it that is a name. build: the library's network that it is a name
    of. foreign: whether it is a name of another network, whose tensors the file has not. reason: why a network of the
    same tensors computes otherwise.
    """

    where: str
    text: str
    build: Build | None = None
    foreign: bool = False
    reason: str = ""


def recorded_sayings(checkpoint: Checkpoint, layout: Layout, variant: Variant, builds: list[Build]) -> list[Saying]:
    """Return what the texts beside the weights say; of those that may be about anything only what is a known name."""
    named = _builds_by_name(layout, variant, builds)
    found = [(_saying(where, text, layout, named), meant) for where, text, meant in recorded_texts(checkpoint)]
    return [saying for saying, meant in found if meant or saying.build or saying.foreign or saying.reason]


def saying_of_the_name(path: Path, layout: Layout, variant: Variant, builds: list[Build]) -> Saying | None:
    """Return what the longest known name says that the file's own name holds, None where it holds none."""
    shown = path.name.replace("-", "_")
    named = {name.replace("-", "_"): build for name, build in _builds_by_name(layout, variant, builds).items()}
    held = [name for name in (*named, *layout.same_tensors) if name in shown]
    held += [match[0] for pattern in layout.other_tensors if (match := _pattern(pattern).search(shown))]
    longest = max(held, key=len, default=None)
    return _saying("name", longest, layout, named) if longest else None


def require_known_network(path: Path, layout: Layout, sayings: list[Saying]) -> None:
    """Raise LayoutMismatch where a text names a network of the same tensors that computes otherwise."""
    for saying in sayings:
        if saying.reason:
            raise LayoutMismatch(
                f"{path}: its {saying.where} says {saying.text!r}, which is another network of {layout.name}'s, with "
                f"the same tensors: {saying.reason}. It cannot be converted; if the file is not of it, --facts says "
                "what its network assumes (--facts padding=… --facts bn_eps=…), and is believed"
            )


def recorded_training(checkpoint: Checkpoint, layout: str, variant: str) -> tuple[str, str] | None:
    """Return (which training the weights are of, where that is said); None where nothing does, or texts disagree.

    timm's config.json says it, a text beside the weights by the name of a network with its training, as timm gives it
    today (`tf_efficientnet_b0.ns_jft_in1k`) and gave it before 0.9 (`tf_efficientnet_b0_ns`), or the file's own name
    as it was published. Of names that several files have (`model.safetensors`) none says it.
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
    """Return how the library calls the network that `build` makes."""
    own = layout.variants[variant.name]
    return build.names[0].replace("{variant}", own) if build.names else f"{layout.name} {own}"


def _saying(where: str, text: str, layout: Layout, named: Mapping[str, Build]) -> Saying:
    """Return what `text` says: a name of today, perhaps with its training (`.ra_in1k`), or of an older release."""
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
    """Yield the names of a published network that say its training too."""
    yield f"{row.network}.{row.weights}"
    if row.older_name:
        yield row.older_name


def _pattern(text: str) -> re.Pattern[str]:
    """Return what matches a name in which every `*` is letters and digits, where a name can end."""
    return re.compile("[a-z0-9]+".join(map(re.escape, text.split("*"))) + "(?![a-z0-9])")

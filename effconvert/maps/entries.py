"""Reads the tables of a map that say what stands beside the weights, and which networks its files are for."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from effconvert.architecture.facts import Facts, changed
from effconvert.errors import LayoutMismatch
from effconvert.maps.language import ANY, PLACEHOLDER, RECIPE_VALUES, Build, Fill, Preprocessing, Slot
from effconvert.reference_tables.reading import recipe_tables

_FILL_KEYS = {"dtype", "value", "reason"}
_FILL_DTYPES = ("int64", "int32", "float32")
_BUILD_KEYS = {"facts", "variants", "names", "code", "channels"}
_PREPROCESSING_KEYS = {"decode", "crop", "resize", "code"}
_GRAY = {"gray"}
_CAN_BE_ANY = ("bn_eps", "fused_stride")
_CHANNELS_PLACEHOLDERS = ("in_channels", "size")
_CODE_PLACEHOLDERS = (
    "variant", "classes", "bn_eps", "size", "file", "state", "format", "top", "in_channels", "channels",
)  # fmt: skip
_RECIPE_PLACEHOLDERS = (
    *("variant", "classes", "file", "size", "shorter_side", "crop_padding", "crop_pct", "interpolation", "in_channels"),
    *("gray", "mean", "std", "unit_mean", "unit_std"),
)


def read_fill(name: str, value: Any, problems: list[str]) -> Fill | None:
    """Return the filled tensor that `value` describes, and add to `problems` what is wrong with it."""
    if not isinstance(value, dict) or value.keys() != _FILL_KEYS:
        problems.append(f"fill.{name}: must hold exactly {', '.join(sorted(_FILL_KEYS))}, is {value!r}")
        return None
    if value["dtype"] not in _FILL_DTYPES:
        problems.append(f"fill.{name}: dtype {value['dtype']!r} is not one of {', '.join(_FILL_DTYPES)}")
    is_number = isinstance(value["value"], int | float) and not isinstance(value["value"], bool)
    if not is_number and value["value"] not in RECIPE_VALUES:
        problems.append(f"fill.{name}: value {value['value']!r} is not a number, nor {' or '.join(RECIPE_VALUES)}")
    return Fill(**value)


def read_build(number: int, value: Any, variants: Mapping[str, str], problems: list[str]) -> Build | None:
    """Return the build that `value`, the `number`-th of its map, describes; add to `problems` what is wrong with it."""
    where = f"builds {number}"
    if not isinstance(value, dict) or "code" not in value or value.keys() - _BUILD_KEYS:
        problems.append(f"{where}: must hold code, and may hold facts, variants, names, channels; is {value!r}")
        return None
    texts = {key: value.get(key, []) for key in ("variants", "names")}
    for key, items in texts.items():
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            problems.append(f"{where}: {key} must be a list of texts, is {items!r}")
            texts[key] = []
    problems += [f"{where}: the map does not cover {name!r}" for name in texts["variants"] if name not in variants]
    _check_texts(where, texts["names"], ("variant",), problems)
    _check_texts(where, [value["code"]], _CODE_PLACEHOLDERS, problems)
    facts = value.get("facts", {})
    _check_facts(where, facts, problems)
    channels = value.get("channels")
    if channels is not None:
        _check_texts(where, [channels], _CHANNELS_PLACEHOLDERS, problems)
    return Build(facts, tuple(texts["variants"]), tuple(texts["names"]), value["code"], channels)


def read_synonyms(
    table: Mapping[str, Any], kinds: Mapping[str, Mapping[str, Slot]], problems: list[str]
) -> Mapping[str, str]:
    """Return the other names of tensors in `table`, and add to `problems` what is wrong with them."""
    known = {tensor for tensors in kinds.values() for tensor in tensors}
    for name, meant in table.items():
        if name in known:
            problems.append(f"synonyms.{name}: is the name of a tensor itself")
        if not isinstance(meant, str) or meant not in known:
            problems.append(f"synonyms.{name}: {meant!r} is not a tensor of any kind")
    return table


def read_preprocessing(number: int, value: Any, problems: list[str]) -> Preprocessing | None:
    """Return the way to prepare images that `value` describes; add to `problems` what is wrong with it."""
    where = f"preprocessings {number}"
    if (
        not isinstance(value, dict)
        or value.keys() - _GRAY != _PREPROCESSING_KEYS
        or not isinstance(value["resize"], dict)
    ):
        problems.append(f"{where}: must hold decode, crop, code and a table resize, and may hold gray; is {value!r}")
        return None
    words = {name: {str(table[name]) for table in recipe_tables().values()} for name in ("decode", "crop", "resize")}
    for name, found in (
        *((name, value[name]) for name in ("decode", "crop")),
        *(("resize", each) for each in value["resize"]),
    ):
        if found not in words[name]:
            problems.append(f"{where}: {name} {found!r} is unknown; known are {', '.join(sorted(words[name]))}")
    if not value["resize"]:
        problems.append(f"{where}: resize names no filter")
    _check_texts(where, [value["code"]], _RECIPE_PLACEHOLDERS, problems)
    _check_texts(where, [*value["resize"].values(), *(value[key] for key in _GRAY & value.keys())], (), problems)
    if "gray" in value and (value["decode"] != "pil" or "{gray}" not in str(value["code"])):
        problems.append(f'{where}: gray is for decode "pil", and code that holds {{gray}}')
    return Preprocessing(**value)


def check_aliases(
    aliases: Mapping[str, str], builds: Iterable[Build], variants: Mapping[str, str], problems: list[str]
) -> None:
    """Add to `problems` every alias of a network that no build is called; `variants` are the layout's own names."""
    names = {name for build in builds for name in build.names}
    known = names | {name.replace("{variant}", own) for name in names for own in variants.values()}
    problems += [f"aliases.{alias}: no build is called {of!r}" for alias, of in aliases.items() if of not in known]


def read_channels(value: Any, builds: Sequence[Build], problems: list[str]) -> str | None:
    """Return what code says of other than three channels, None where no build can; add to `problems`."""
    if value is None:
        return None
    if value != "":
        _check_texts("channels", [value], _CHANNELS_PLACEHOLDERS, problems)
        problems += [
            f"builds {number}: its code lacks {{channels}}, which `channels` is for"
            for number, build in enumerate(builds, 1)
            if "{channels}" not in build.code
        ]
    return str(value)


def _check_facts(where: str, facts: Any, problems: list[str]) -> None:
    if not isinstance(facts, dict):
        problems.append(f"{where}: facts must be a table, is {facts!r}")
        return
    problems += [
        f"{where}: {name} cannot be {ANY!r}; {' and '.join(_CAN_BE_ANY)} can"
        for name, value in facts.items()
        if value == ANY and name not in _CAN_BE_ANY
    ]
    try:
        changed(Facts(), {name: value for name, value in facts.items() if value != ANY})
    except LayoutMismatch as error:
        problems.append(f"{where}: {error}")


def _check_texts(where: str, texts: list[Any], known: tuple[str, ...], problems: list[str]) -> None:
    for text in texts:
        if not isinstance(text, str) or not text:
            problems.append(f"{where}: {text!r} is not a text")
            continue
        # Code may hold braces of its own, as dict literals do: only lone names are placeholders.
        found = [match[1] for match in PLACEHOLDER.finditer(text) if re.fullmatch(r"\w+", match[1])]
        problems += [
            f"{where}: placeholder {{{name}}} is unknown; known are {', '.join(known)}"
            for name in found
            if name not in known
        ]

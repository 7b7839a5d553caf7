"""The tables `builds` and `preprocessings` of a map: a library's networks, and how it prepares images."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from effconvert.architecture.facts import Facts, changed
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import LayoutMismatch
from effconvert.maps.language import ANY, PLACEHOLDER, Build, Preprocessing
from effconvert.maps.words import OTHERS, expanded, grouped, held_words, split_variants, value_for
from effconvert.reference_tables.reading import recipe_tables

_CAN_BE_ANY = ("bn_eps", "fused_stride")
_CHANNELS_PLACEHOLDERS = ("in_channels", "size")
CODE_PLACEHOLDERS = (
    *("variant", "width", "depth", "features", "dropout", "classes", "bn_eps", "in_channels", "channels"),
    *("size", "file", "state", "format", "top"),
)
RECIPE_PLACEHOLDERS = (
    *("variant", "classes", "file", "size", "shorter_side", "crop_padding", "crop_pct", "interpolation", "in_channels"),
    *("gray", "mean", "std", "unit_mean", "unit_std"),
)


def read_builds(
    builds: Iterable[Mapping[str, Any]],
    words: Mapping[str, Any],
    channels: str | None,
    variants: Mapping[str, str],
    problems: list[str],
) -> tuple[Build, ...]:
    """Return the builds of a map, one for each group of variants with the same values; add to `problems`.

    words: those of the map. channels: the text for `{channels}`; None if the library's networks take three only.
    """
    found: list[Build] = []
    for number, value in enumerate(builds, 1):
        made = list(_read_build(value, words, variants))
        found += made
        problems += dict.fromkeys(f"builds {number}: {words}" for words in _build_problems(value, made, variants))
        if channels and any("{channels}" not in build.code for build in made):
            problems.append(f"builds {number}: its code lacks {{channels}}, which `channels` replaces")
    return tuple(found)


def read_preprocessings(
    ways: Iterable[Mapping[str, Any]], words: Mapping[str, Any], problems: list[str]
) -> tuple[Preprocessing, ...]:
    """Return how a library prepares images; add what is wrong to `problems`."""
    found = []
    for number, value in enumerate(ways, 1):
        own = {**words, **value.get("words", {})}
        texts = {key: expanded(value[key], own) for key in ("code", "gray") if key in value}
        way = Preprocessing(value["decode"], value["crop"], value["resize"], **texts)
        problems += [f"preprocessings {number}: {words}" for words in _preprocessing_problems(way)]
        found.append(way)
    return tuple(found)


def check_words(words: Mapping[str, Any], own: Iterable[str], texts: Iterable[Any], problems: list[str]) -> None:
    """Add to `problems` what is wrong with the words that pieces of code share.

    own: the words of the map itself. texts: all code and words of the map, before words are replaced.
    """
    held = held_words(texts)
    for name, value in words.items():
        keys = value.keys() - {OTHERS} if isinstance(value, Mapping) else ()
        unknown = sorted({variant for key in keys for variant in split_variants(key)} - VARIANTS.keys())
        problems += [f"words.{name}: the variant {variant!r} is unknown" for variant in unknown]
        if name in CODE_PLACEHOLDERS or name in RECIPE_PLACEHOLDERS:
            problems.append(f"words.{name}: {{{name}}} already has a meaning; rename the word")
        if name in own and name not in held:
            problems.append(f"words.{name}: no code holds {{{name}}}")


def check_channels(channels: str | None, problems: list[str]) -> None:
    """Add to `problems` what is wrong with `channels`, the code for another number of channels than three."""
    if channels:
        problems += [f"channels: {words}" for words in _unknown(channels, _CHANNELS_PLACEHOLDERS)]


def check_aliases(
    aliases: Mapping[str, str], builds: Iterable[Build], variants: Mapping[str, str], problems: list[str]
) -> None:
    """Add to `problems` every network with an alias that no build has; `variants` are the layout's names."""
    names = {name for build in builds for name in build.names}
    known = names | {name.replace("{variant}", own) for name in names for own in variants.values()}
    problems += [f"aliases: no build names {of!r}" for of in dict.fromkeys(aliases.values()) if of not in known]


def _read_build(value: Mapping[str, Any], words: Mapping[str, Any], variants: Mapping[str, str]) -> Iterator[Build]:
    named = tuple(value.get("variants", ()))
    own = {**words, **value.get("words", {})}

    def made(variant: str) -> tuple[tuple[str, ...], str, str | None]:
        channels = value.get("channels")
        code = expanded(value["code"], own, variant)
        names = tuple(value_for(variant, value.get("names", [])) or ())
        return names, code, expanded(channels, own, variant) if channels else None

    groups = grouped([name for name in variants if not named or name in named], made)
    for (names, code, channels), covered in groups.items():
        only = covered if named or len(groups) > 1 else ()
        yield Build(value.get("facts", {}), only, names, code, channels)


def _build_problems(value: Mapping[str, Any], made: list[Build], variants: Mapping[str, str]) -> Iterator[str]:
    tables = [value.get("names"), *value.get("words", {}).values()]
    keys = [key for table in tables if isinstance(table, Mapping) for key in table if key != OTHERS]
    named = [*value.get("variants", ()), *(name for key in keys for name in split_variants(key))]
    yield from (f"the map does not cover {name!r}" for name in named if name not in variants)
    for build in made:
        for name in build.names:
            yield from _unknown(name, ("variant",))
        yield from _unknown(build.code, CODE_PLACEHOLDERS)
        yield from _unknown(build.channels or "", _CHANNELS_PLACEHOLDERS)
    yield from _fact_problems(value.get("facts", {}))


def _fact_problems(facts: Mapping[str, Any]) -> Iterator[str]:
    for name, value in facts.items():
        if value == ANY and name not in _CAN_BE_ANY:
            yield f"{name} cannot be {ANY!r}; {' and '.join(_CAN_BE_ANY)} can"
    try:
        changed(Facts(), {name: value for name, value in facts.items() if value != ANY})
    except LayoutMismatch as error:
        yield str(error)


def _preprocessing_problems(way: Preprocessing) -> Iterator[str]:
    known = {name: {str(table[name]) for table in recipe_tables().values()} for name in ("decode", "crop", "resize")}
    for name, value in (("decode", way.decode), ("crop", way.crop), *(("resize", each) for each in way.resize)):
        if value not in known[name]:
            yield f"{name} {value!r} is unknown; known are {', '.join(sorted(known[name]))}"
    yield from _unknown(way.code, RECIPE_PLACEHOLDERS)
    for text in (*way.resize.values(), way.gray or ""):
        yield from _unknown(text, ())
    if way.gray is not None and (way.decode != "pil" or "{gray}" not in way.code):
        yield 'gray needs decode "pil" and code with {gray}'


def _unknown(text: str, known: tuple[str, ...]) -> Iterator[str]:
    # Code may have other braces, such as dict literals: only single names in braces are placeholders.
    for match in PLACEHOLDER.finditer(text):
        if re.fullmatch(r"\w+", match[1]) and match[1] not in known:
            yield f"placeholder {match[0]} is unknown; known are {', '.join(known) or 'none here'}"

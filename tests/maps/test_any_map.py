"""S8: any map is either usable, there and back, or refused with the place of each problem."""

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from effconvert.architecture.variants import VARIANTS
from effconvert.errors import BadMap
from effconvert.maps.layouts import parse_layout
from effconvert.maps.map_schema import schema_text
from effconvert.maps.moves import compile_layout, invert
from helpers.formats.building import examples
from helpers.maps.user_maps import MINE
from helpers.places import PROJECT

OFFICIAL = tomllib.loads((PROJECT / "mappings" / "tf_official.toml").read_text())
GOOD = [tomllib.loads(MINE), OFFICIAL | {"variants": {"same": ["b0"], "renamed": {"cc-b0-4e": "condconv-b0-4e"}}}]
PLACES = {*json.loads(schema_text())["properties"], "layer"}
_NAMED = "|".join(sorted(PLACES, key=len, reverse=True))
PLACE = re.compile(
    rf"(?:{_NAMED})\b|.*unknown key|not TOML: .*(?:line \d+|end of document|position \d+)|.*\([a-z0-9, -]+\)$|.*variant "
)

words = st.text("abcxyz_", min_size=1, max_size=6)
strings = (
    st.text(max_size=12)
    | words
    | st.sampled_from(
        [
            "",
            "{n}",
            "{index}",
            "<conv>",
            "<conv:2>",
            "weight",
            "weight : conv",
            "OI -> IO",
            "{",
            "*",
            "b0",
            "conv",
            "../x",
        ]
    )
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(strings, inner, max_size=3),
    max_leaves=6,
)


def as_toml(value: Any) -> str:
    """Return a value as TOML, tables inline."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(key)} = {as_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return quoted(value) if isinstance(value, str) else json.dumps(value)


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def document(table: Mapping[str, Any]) -> bytes:
    """Return a map as a file; what TOML does not have (null) makes a file that is not TOML."""
    return "".join(f"{quoted(key)} = {as_toml(value)}\n" for key, value in table.items()).encode("utf-8", "replace")


def places_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values of a map."""
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, one in inner for found in places_in(one, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return the value with another one at a path; `...` takes it out."""
    if not path:
        return new
    copied = dict(value) if isinstance(value, Mapping) else list(value)
    if len(path) == 1 and new is ...:
        del copied[path[0]]
    else:
        copied[path[0]] = replaced(copied[path[0]], path[1:], new)
    return copied


def assert_usable_or_refused(content: bytes) -> bool:
    """Return whether the map is usable; a refusal must name the place of each problem."""
    try:
        layout = parse_layout(content, "my.toml")
    except BadMap as error:
        first, *problems = str(error).splitlines()
        assert first.startswith("my.toml: ")
        said = problems or [first.removeprefix("my.toml: ")]
        assert [one for one in said if not PLACE.match(one.strip()) and not one.startswith("  … and")] == []
        return False
    for variant in layout.variants:
        compile_layout(layout, VARIANTS[variant])
    return True


@examples(80)
@given(data=st.data(), good=st.sampled_from(GOOD))
def test_s8_a_map_with_any_value_elsewhere_is_usable_or_refused_with_the_place(data: st.DataObject, good: Any) -> None:
    changed = good
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(places_in(changed)[1:]))
        changed = replaced(changed, path, data.draw(st.just(...) | values | strings))
    assert_usable_or_refused(document(changed))


@examples(100)
@given(table=st.dictionaries(st.sampled_from(sorted(PLACES)) | strings, values, max_size=6))
def test_s8_any_tables_are_refused_with_the_place(table: dict[str, Any]) -> None:
    assert not assert_usable_or_refused(document(table))


@examples(100)
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")))
def test_s8_any_bytes_are_refused_with_the_place(content: bytes) -> None:
    assert not assert_usable_or_refused(content)


@examples(20)
@given(
    names=st.lists(words, min_size=11, max_size=11, unique=True),
    order=st.permutations("OIHW"),
    separator=st.sampled_from([".", "/", "__"]),
    numbered=st.booleans(),
)
def test_s8_a_map_with_any_names_and_axes_is_usable_there_and_back(
    names: list[str], order: list[str], separator: str, numbered: bool
) -> None:
    layout = compile_layout(parse_layout(random_map(names, order, separator, numbered), "my.toml"), VARIANTS["b0"])
    sources = [move.source for move in layout.moves]
    assert len(sources) == len(set(sources)) == 311
    assert any(name.startswith(f"{names[0]}{separator}") or names[0] in name for name in sources)
    random = np.random.default_rng(0)
    for move, back in zip(layout.moves, invert(layout.moves), strict=True):
        array = random.normal(size=move.source_shape).astype(np.float32)
        moved = move.apply(array)
        assert moved.shape == move.target_shape
        assert back.apply(moved).tobytes() == array.tobytes()


def random_map(names: list[str], order: list[str], separator: str, numbered: bool) -> bytes:
    """Return MINE with other names of its layers, another order of a kernel's axes, and names drawn from a series."""
    text = MINE.replace("# ", "#")
    old = ["first", "last", "body", "grow", "deep", "gate", "out", "down", "up", "answers", "norm"]
    for word, new in zip(old, names, strict=True):
        text = re.sub(rf'(?<=["./]){word}(?=["./])', f"{new}", text)
    table = tomllib.loads(text)
    table["separator"] = separator
    table["axes"] = {"mine": f"{''.join(order)} -> OIHW"}
    table["kinds"] = {"conv": {"w": "weight : mine"}}
    if numbered:
        table["series"] = {"at": ["first", "next_{n}"]}
        for row in table["layers"]["stem"]:
            row[2] = re.sub(r"[^.]+$", "<at>", row[2])
    return document(table)

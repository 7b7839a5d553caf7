"""Checks of the shape of a map, by the JSON Schema in mappings/, which editors use too."""

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from effconvert.errors import known_names

_NAME = "map.schema.json"
_ROW = ("layer", "kind", "source", "flag")  # the cells of a row
_HARMLESS = ("additionalProperties", "const", "minLength", "enum", "pattern")  # errors in values of the right shape


def schema_text() -> str:
    """Return the JSON Schema of a map."""
    return resources.files("effconvert.mappings").joinpath(_NAME).read_text(encoding="utf-8")


def shape_problems(values: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Return the differences between a parsed map and the schema, with their keys, and whether the rest can be read."""
    from jsonschema import Draft202012Validator

    found = list(Draft202012Validator(json.loads(schema_text())).iter_errors(values))
    readable = all(error.validator in _HARMLESS for error in found)
    return sorted({words for error in found for words in _words(error)}), readable


def _words(error: Any) -> Iterator[str]:
    place = _place(error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        for name in sorted(error.instance.keys() - set(known)):
            yield f"{f'{place}.' if place else ''}{_key(name)}: unknown key; {known_names(name, known)}"
    elif "propertyNames" in error.absolute_schema_path:
        yield f"{place}: a reason is empty; say why these tensors stay behind"
    elif error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        yield from (f"{f'{place}.' if place else ''}{name}: is missing" for name in missing)
    elif error.validator == "type" and error.validator_value == "string" and isinstance(error.instance, list):
        # In a draft, an open question is a list of candidates.
        yield f"{place}: is not decided: leave the right one of {_shown(error.instance)}, as a string"
    else:
        yield f"{place}: {_expected(error)}, is {_shown(error.instance)}"


def _place(path: Any) -> str:
    """Return the place of `path` in a map, such as `builds 2.code`; numbers begin at 1."""
    place = ""
    for step in path:
        if " row " in place and isinstance(step, int):
            place += f" {_ROW[min(step, len(_ROW) - 1)]}"
            continue
        step = step if isinstance(step, int) else _key(step)
        row = " row" if place.startswith("layers") else ""
        place += f"{row} {step + 1}" if isinstance(step, int) else f".{step}" if place else step
    return place


def _key(name: str) -> str:
    """Return a key so that it can be seen: quoted if it is empty, or has a line break or blanks around it."""
    return name if name and name.isprintable() and name.strip() == name else ascii(name)


def _expected(error: Any) -> str:
    kinds = {"string": "a string", "array": "a list", "object": "a table", "boolean": "true or false"}
    wanted = error.validator_value
    if error.validator == "type":
        names = wanted if isinstance(wanted, list) else [wanted]
        return f"must be {' or '.join(kinds.get(name, f'a {name}') for name in names)}"
    if error.validator == "enum":
        return f"must be one of {', '.join(map(str, wanted))}"
    if error.validator == "pattern":
        return "must have letters, digits and . _ - only"
    if error.validator == "const":
        return f"must be {wanted}"
    if error.validator == "anyOf":
        return "must be " + " or ".join(_alternative(each) for each in wanted)
    named = error.schema.get("description") or f"a list of {wanted} or more"
    least: dict[str, str] = {"minLength": "must not be empty", "minItems": f"must be {named}"}
    return least.get(error.validator, str(error.message))


def _alternative(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(map(repr, schema["enum"]))
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = {"string": "a string", "array": "a list of strings", "object": "a table", "boolean": "true or false"}
    return " or ".join(words.get(name, f"a {name}") for name in names)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"

"""JSON Schema of a document, generated from its types: fields, literals, `Rule`s and docstrings."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from effconvert.report.contents.rules import Rule

_Schema = dict[str, Any]
_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
_LIMITS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "pattern": "pattern",
    "longest": "maxLength",
    "fewest_items": "minItems",
    "most_items": "maxItems",
}


def schema_of(kind: type, identity: str) -> _Schema:
    """Return the JSON Schema of the dataclass `kind`; the dataclasses in it are in `$defs`."""
    found: dict[str, _Schema] = {}
    whole = _object(kind, found)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": identity}
    return head | whole | {"$defs": {name: found[name] for name in sorted(found)}}


def _object(kind: Any, found: dict[str, _Schema]) -> _Schema:
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in fields(kind)]
    return {
        "type": "object",
        "description": " ".join((kind.__doc__ or "").split()),
        "required": names,
        "additionalProperties": False,
        "properties": {name: _value(hints[name], found) for name in names},
    }


def _value(kind: Any, found: dict[str, _Schema]) -> _Schema:
    if get_origin(kind) is Annotated:
        inner, *rules = get_args(kind)
        schema = _value(inner, found)
        for rule in rules:
            schema = _ruled(schema, rule)
        return schema
    if is_dataclass(kind):
        name = _name(kind)
        if name not in found:
            found[name] = {}  # its place, should the type hold itself
            found[name] = _object(kind, found)
        return {"$ref": f"#/$defs/{name}"}
    if kind in _SIMPLE:
        return {"type": _SIMPLE[kind]}
    return _composed(get_origin(kind), get_args(kind), found)


def _composed(origin: Any, arguments: tuple[Any, ...], found: dict[str, _Schema]) -> _Schema:
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return _either([_value(each, found) for each in arguments])
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _value(arguments[1], found)}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _value(arguments[0], found)}
    if origin is tuple:
        return {"type": "array", "items": _value(arguments[0], found)} | dict.fromkeys(
            ("minItems", "maxItems"), len(arguments)
        )
    if origin is None and not arguments:  # Any
        return {}
    raise TypeError(f"no JSON Schema for {origin}[{arguments}]")


def _either(schemas: list[_Schema]) -> _Schema:
    """Return the schema of a union: one list of types where that says all, else `anyOf`."""
    if all(schema.keys() == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    simple = [schema for schema in schemas if schema != {"type": "null"}]
    if len(simple) == 1 and "type" in simple[0] and simple[0]["type"] not in ("object", "array"):
        return simple[0] | {"type": [simple[0]["type"], "null"]}
    return {"anyOf": schemas}


def _ruled(schema: _Schema, rule: Rule) -> _Schema:
    limits = {name: getattr(rule, attribute) for attribute, name in _LIMITS.items()}
    said = {"description": rule.words} | limits
    return schema | {name: value for name, value in said.items() if value not in (None, "")}


def _name(kind: Any) -> str:
    """Return the name of a type in `$defs`, with its module where types of several modules have it."""
    module = kind.__module__.rpartition(".")[2]
    plain: str = "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in kind.__name__).lstrip("_")
    return plain if module == plain else f"{module}_{plain}" if module in ("published", "verification") else plain

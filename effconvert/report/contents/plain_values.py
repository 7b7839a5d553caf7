"""Documents as plain values and back: dataclasses become objects of JSON, tuples become lists."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

_T = TypeVar("_T")


def to_plain(value: Any) -> Any:
    """Return `value` in plain values, as JSON has them; what is plain already is copied."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple | list):
        return [to_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {name: to_plain(each) for name, each in value.items()}
    return {name: to_plain(getattr(value, name)) for name in _names(value.__class__)}


def from_plain(kind: type[_T], plain: Any) -> _T:
    """Return the dataclass `kind` of plain values that conform to its schema."""
    found: _T = _typed(kind, plain)
    return found


def in_unicode(value: _T) -> _T:
    """Return `value` with invalid characters replaced by a mark, as in a file name that is not UTF-8."""
    found: _T = _in_unicode(value)
    return found


def _in_unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, tuple | list):
        return type(value)(_in_unicode(each) for each in value)
    if isinstance(value, Mapping):
        return {_in_unicode(name): _in_unicode(each) for name, each in value.items()}
    return type(value)(**{name: _in_unicode(getattr(value, name)) for name in _names(value.__class__)})


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed(kind: Any, plain: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is None and is_dataclass(kind):
        make: Any = kind
        return make(**{name: _typed(hint, plain[name]) for name, hint in _types(make).items()})
    if origin is Annotated:
        return _typed(arguments[0], plain)
    if origin in (Union, types.UnionType):
        inner = next((each for each in arguments if is_dataclass(each) or get_origin(each) is Mapping), None)
        return plain if plain is None or inner is None else _typed(inner, plain)
    if origin is tuple:
        one = arguments[0]
        return tuple(_typed(one, each) for each in plain)
    return dict(plain) if isinstance(plain, Mapping) else plain

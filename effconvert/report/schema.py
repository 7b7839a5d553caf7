"""Validation of documents against the JSON Schemas of this package."""

import json
import math
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

REPORT, VALIDATION, VERIFICATION = "report-1", "validation-1", "verification-1"
SCHEMAS = (REPORT, VALIDATION, VERIFICATION)
_SHOWN = 80  # characters of a wrong value in a message
_DEEPEST = 40
_LARGEST = 1 << 63

# JSON Schema accepts 1.0 as an integer; Python code that counts with it does not.
_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)


def schema_text(name: str) -> str:
    """Return the text of the JSON Schema `name`, one of SCHEMAS."""
    return files("effconvert.report").joinpath("schemas", f"{name}.schema.json").read_text(encoding="utf-8")


def problems(document: Any, name: str) -> list[str]:
    """Return the problems of `document`, each with its place: "$.a[0]: 5 is not of type 'string'".

    It must conform to the schema `name`. Also, numbers must be finite and fit 64 bits, and nesting must be limited.
    """
    found = list(_absurdities(document))
    return found or sorted(set(_described(_validator(name).iter_errors(document))))


@cache
def _validator(name: str) -> Any:
    return _Validator(json.loads(schema_text(name)))


def _absurdities(document: Any) -> Iterator[str]:
    waiting = [("$", document, 0)]
    while waiting:
        place, value, depth = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{place}: {value} is not a finite number"
        elif isinstance(value, int) and abs(value) >= _LARGEST:
            yield f"{place}: has {len(str(value))} digits; at most 64 bits are read"
        elif isinstance(value, dict | list) and depth == _DEEPEST:
            yield f"{place}: is nested more than {_DEEPEST} deep"
        elif isinstance(value, dict):
            waiting += [(f"{place}.{name}", each, depth + 1) for name, each in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{place}[{index}]", each, depth + 1) for index, each in enumerate(value)]


def _described(errors: Iterable[ValidationError]) -> Iterator[str]:
    for error in errors:
        # For a value that may also be null, report only the problems of the other alternative.
        within = [cause for cause in error.context or () if cause.schema != {"type": "null"}]
        if error.validator == "anyOf" and len(within) < len(error.context or ()):
            yield from _described(within)
        else:
            yield f"{error.json_path}: {_words(error)}"


def _words(error: ValidationError) -> str:
    value = repr(error.instance)
    return error.message if len(value) <= _SHOWN else error.message.replace(value, f"{value[:_SHOWN]}…")

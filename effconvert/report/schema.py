"""Validation of documents against the JSON Schemas of this package."""

import json
import math
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from effconvert.budget import Budget

REPORT, VALIDATION, VERIFICATION = "report-1", "validation-1", "verification-1"
SCHEMAS = (REPORT, VALIDATION, VERIFICATION)
_SHOWN = 80  # characters of a wrong value or of a name in a message
_MOST = 100  # problems
_STEPS_OF_VALUE = 8
_DEEPEST = 40
_LARGEST = 1 << 63

# The place of a value: () for the document, else the place of what holds it, and its name or number in that.
_Path = tuple[Any, ...]

# JSON Schema accepts 1.0 as an integer; Python code that counts with it does not.
_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)


def schema_text(name: str) -> str:
    """Return the text of the JSON Schema `name`, one of SCHEMAS."""
    return files("effconvert.report").joinpath("schemas", f"{name}.schema.json").read_text(encoding="utf-8")


def problems(document: Any, name: str, budget: Budget | None = None) -> list[str]:
    """Return the problems of `document`, each with its place: "$.a[0]: 5 is not of type 'string'".

    It must conform to the schema `name`. Also, numbers must be finite and fit 64 bits, and nesting must be limited.
    budget: that of the document's file, if it came from a file. Only the first problems are returned if there are many.
    Raises the error of the budget.
    """
    if found := absurdities(document, budget):
        return found
    return sorted(set(islice(_described(_validator(name).iter_errors(document)), _MOST)))


def absurdities(document: Any, budget: Budget | None = None) -> list[str]:
    """Return the places of numbers that are not finite or too large, and of what is nested too deep."""
    return list(islice(_absurdities(document, budget), _MOST))


@cache
def _validator(name: str) -> Any:
    return _Validator(json.loads(schema_text(name)))


def _absurdities(document: Any, budget: Budget | None) -> Iterator[str]:
    waiting: list[tuple[_Path, Any, int]] = [((), document, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{_place(path)}: {value} is not a finite number"
        elif isinstance(value, int) and abs(value) >= _LARGEST:
            yield f"{_place(path)}: has {len(str(value))} digits; at most 64 bits are read"
        elif isinstance(value, dict | list) and depth == _DEEPEST:
            yield f"{_place(path)}: is nested more than {_DEEPEST} deep"
        elif isinstance(value, dict | list):
            if budget:
                budget.step(_STEPS_OF_VALUE * len(value))
            entries = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [((path, name), each, depth + 1) for name, each in entries]


def _place(path: _Path) -> str:
    """Return a place such as "$.a[0]" in words; made only for what is shown, as a name may be longer than all else."""
    parts = []
    while path:
        path, name = path
        parts.append(f"[{name}]" if isinstance(name, int) else f".{name[:_SHOWN]}")
    return "".join(("$", *reversed(parts)))


def _described(errors: Iterable[ValidationError]) -> Iterator[str]:
    for error in errors:
        # For a value that may also be null, report only the problems of the other alternative.
        within = [cause for cause in error.context or () if cause.schema != {"type": "null"}]
        if error.validator == "anyOf" and len(within) < len(error.context or ()):
            yield from _described(within)
        else:
            path: _Path = ()
            for name in error.absolute_path:
                path = (path, name)
            yield f"{_place(path)}: {_words(error)}"


def _words(error: ValidationError) -> str:
    value = repr(error.instance)
    return error.message if len(value) <= _SHOWN else error.message.replace(value, f"{value[:_SHOWN]}…")

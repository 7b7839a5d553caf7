"""Checks documents against the JSON Schemas of this package, which say what is in each of them."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

REPORT, VALIDATION, VERIFICATION = "report-1", "validation-1", "verification-1"
SCHEMAS = (REPORT, VALIDATION, VERIFICATION)
_SHOWN = 80  # characters of a value that is wrong


def schema_text(name: str) -> str:
    """Return the JSON Schema called `name`, one of SCHEMAS, as it stands in the package."""
    return files("effconvert.report").joinpath("schemas", f"{name}.schema.json").read_text(encoding="utf-8")


def problems(document: Any, name: str) -> list[str]:
    """Return what is wrong with `document` by the schema `name`, each with its place: "$.a[0]: 5 is not …"."""
    return sorted(set(_described(_validator(name).iter_errors(document))))


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(schema_text(name)))


def _described(errors: Iterable[ValidationError]) -> Iterator[str]:
    for error in errors:
        # Of what may also be null, the problems are those of what it is when it is not.
        within = [cause for cause in error.context or () if cause.schema != {"type": "null"}]
        if error.validator == "anyOf" and error.instance is not None and len(within) < len(error.context or ()):
            yield from _described(within)
        else:
            yield f"{error.json_path}: {_words(error)}"


def _words(error: ValidationError) -> str:
    value = repr(error.instance)
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
    return error.message.replace(value, shown)

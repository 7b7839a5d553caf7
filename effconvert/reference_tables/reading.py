"""Reader of the tables of `reference/`; all wrong cells of a table are in one error."""

import csv
import math
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

Row = dict[str, str]


def read_text(name: str) -> str:
    """Return the text of a file of `reference/`."""
    return files("effconvert.reference").joinpath(name).read_text(encoding="utf-8")


def read_toml(name: str) -> dict[str, Any]:
    """Return a TOML file of `reference/`."""
    return tomllib.loads(read_text(name))


def read_rows(name: str, rules: Mapping[str, Callable[[str], object]]) -> list[Row]:
    """Return the rows of a CSV file. rules: {column: whether a cell is valid}.

    Raises ValueError with every invalid cell and its line.
    """
    reader = csv.DictReader(read_text(name).splitlines())
    if list(reader.fieldnames or ()) != list(rules):
        raise ValueError(f"reference/{name}: has the columns {reader.fieldnames}, expected {list(rules)}")
    rows, problems = [], []
    for row in reader:
        rows.append(row)
        if None in row or None in row.values():
            problems.append(f"line {reader.line_num}: does not have {len(rules)} cells")
            continue
        problems += [
            f"line {reader.line_num}: {column}={row[column]!r}"
            for column, rule in rules.items()
            if not rule(row[column])
        ]
    if problems:
        raise ValueError(f"reference/{name}: " + "; ".join(problems))
    return rows


def is_number(text: str) -> bool:
    """Return whether a cell is a finite number above 0."""
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def is_count(text: str) -> bool:
    """Return whether a cell is a whole number above 0."""
    return text.isdecimal() and int(text) > 0


def is_name(text: str) -> bool:
    """Return whether a cell is not empty."""
    return bool(text.strip())


def anything(text: str) -> bool:
    """Return True: every cell is valid."""
    return True


def one_of(*names: str) -> Callable[[str], bool]:
    """Return a rule that a cell is one of `names`."""
    return lambda text: text in names


def optional(rule: Callable[[str], object]) -> Callable[[str], object]:
    """Return a rule that a cell is empty or follows `rule`."""
    return lambda text: not text or rule(text)


@cache
def recipe_tables() -> dict[str, dict[str, Any]]:
    """Return {name: table} of the preprocessings in `recipes.toml`."""
    return {name: table for name, table in read_toml("recipes.toml").items() if name != "schema"}

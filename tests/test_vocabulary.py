"""One vocabulary: a function of Python takes the options of its command, by the same names."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import click
import pytest

import effconvert
from effconvert.cli import cli
from helpers.places import PROJECT

# What a command shows, and how; Python has results in its place.
SHOWN = {"json", "quiet", "layers", "tables", "map"}
# {command: (its functions, {option without a keyword of that name: what Python has in its place})}.
PAIRS: dict[str, tuple[tuple[Callable[..., Any], ...], dict[str, str]]] = {
    "convert": ((effconvert.convert, effconvert.convert_published), {"published": "name"}),
    "diff": ((effconvert.diff,), {}),
    "verify": (
        (effconvert.verify, effconvert.verify_deployed, effconvert.Images),
        {"no-float64": "float64"},
    ),
    "validate": (
        (effconvert.validate.measure_accuracy, effconvert.convert_published),
        {"variant": "name", "restart": "force"},
    ),
    "cost": ((effconvert.cost,), {}),
    "inspect": ((effconvert.inspect, effconvert.inspect_deployed), {"tensors": ""}),  # the result has all of them
}


FUNCTIONS = {
    f"{package.__name__}.{name}": getattr(package, name)
    for package in (effconvert, effconvert.validate)
    for name in package.__all__
    if inspect.isfunction(getattr(package, name))
}


def options_of(command: str) -> set[str]:
    found = cli.get_command(click.Context(cli), command)
    assert found
    options = [each for each in found.params if isinstance(each, click.Option)]
    longs = {name.removeprefix("--") for each in options for name in each.opts if name.startswith("--")}
    return longs - SHOWN - {"help"}


@pytest.mark.parametrize("command", PAIRS)
def test_each_option_of_a_command_is_a_keyword_in_python(command: str) -> None:
    functions, others = PAIRS[command]
    keywords = {name for function in functions for name in inspect.signature(function).parameters}
    options = options_of(command)
    assert options >= others.keys()
    assert {others.get(name, name).replace("-", "_") for name in options} - {""} <= keywords


@pytest.mark.parametrize("command", PAIRS)
def test_each_keyword_is_an_option_of_the_command(command: str) -> None:
    (function, *_), others = PAIRS[command]
    # What only a program has: callbacks, records of where a file came from, the arguments of the command.
    own = {
        "progress",
        "url",
        "expected_sha256",
        "source",
        "converted",
        "first",
        "second",
        "files",
        "file",
        "path",
        "data",
    }
    keywords = set(inspect.signature(function).parameters) - own
    assert keywords - {name.replace("-", "_") for name in options_of(command)} - set(others.values()) == set()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_signature_is_plain_in_help(name: str) -> None:
    text = str(inspect.signature(FUNCTIONS[name]))
    assert " at 0x" not in text
    assert "<" not in text
    assert "Options(" not in text


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_docstring_says_what_is_raised_and_shows_an_example(name: str) -> None:
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    assert "raises " in text.lower()
    assert re.search(rf"`.*{re.escape(name)}\(", text)


def test_the_page_has_every_pair_of_a_command_and_a_function() -> None:
    page = (PROJECT / "docs" / "python.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \| (`.*?) \|", page, re.MULTILINE)
    commands = {name for cell, _ in rows for name in re.findall(r"`([a-z]+)`", cell)}
    functions = {name for _, cell in rows for name in re.findall(r"`([\w.]+)`", cell)}
    assert commands == PAIRS.keys()
    assert functions >= {function.__name__ for paired, _ in PAIRS.values() for function in paired[:1]} - {
        "measure_accuracy"
    } | {"validate.measure_accuracy"}

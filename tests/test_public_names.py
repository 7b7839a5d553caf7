"""The public names of the package: what users import stays, can be found, and needs nothing else first."""

import ast
import inspect
import subprocess
import sys
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import effconvert
import effconvert.validate

PACKAGES = [effconvert, effconvert.validate]
# A name may be added here. Whoever takes one away breaks the programs of users, and says so in the changelog.
PROMISED = {
    "effconvert": "Checkpoint CostReport DeployedFile DeployedVerification Difference EfficientNet Images Inspection "
    "Options Recipe Report TensorInfo Verification "
    "__version__ add_maps convert convert_published cost create_model diff errors inspect inspect_deployed load_model open_checkpoint "
    "preprocess validate verify verify_deployed",
    "effconvert.validate": "EvaluationRun Judgement Predictions Summary judge measure_accuracy read_predictions summarise",
}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_promised_names_are_exported(package: ModuleType) -> None:
    assert sorted(package.__all__) == sorted(PROMISED[package.__name__].split())


@pytest.mark.parametrize("package", PACKAGES)
def test_dir_shows_the_public_names(package: ModuleType) -> None:
    assert dir(package) == sorted(package.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_see_the_object_that_programs_get(package: ModuleType) -> None:
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen: dict[str, Any] = {}
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        names = ", ".join(f"{name.name} as {name.asname or name.name}" for name in statement.names)
        exec(f"from {statement.module} import {names}", seen)
    assert {*package.__all__} - {"__version__"} == seen.keys() - {"__builtins__"}
    for name in seen.keys() - {"__builtins__"}:
        assert getattr(package, name) is seen[name], name


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_public_function_returns_is_public(package: ModuleType) -> None:
    public = {getattr(package, name) for name in package.__all__ if inspect.isclass(getattr(package, name))}
    functions = [getattr(package, name) for name in package.__all__ if inspect.isfunction(getattr(package, name))]
    assert functions
    for function in functions:
        returned = typing.get_type_hints(function)["return"]
        for kind in typing.get_args(returned) or [returned]:
            ours = getattr(kind, "__module__", "").startswith("effconvert.")
            assert not ours or kind in public, f"{function.__name__} returns {kind}"


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'converted'"):
        package.converted  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("effconvert", {"numpy", "torch", "click"}),
        ("effconvert.validate.measure_accuracy", {"torch"}),
        ("effconvert.convert, effconvert.inspect, effconvert.errors.EffconvertError", {"torch"}),
    ],
)
def test_a_name_is_there_straight_after_the_import_and_waits_for_no_framework(statement: str, absent: set[str]) -> None:
    script = f"import sys, effconvert; {statement}; print(*({absent!r} & sys.modules.keys()))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []

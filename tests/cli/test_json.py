"""--json, which is the same in every command."""

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from effconvert.cli import cli
from effconvert.cli.click_classes import Context
from helpers.running import Ran

Run = Callable[..., Ran]

_COMMANDS = ["inspect LITE0", "diff LITE0 LITE0", "list", "tables --variant b0", "cost --variant b0", "frameworks --quick", "map moves timm", "convert LITE0 --to timm --force --out OUT"]  # fmt: skip


@pytest.fixture
def words(lite0: Path, tmp_path: Path) -> Callable[[str], list[str]]:
    """Fill the names of files into a command."""
    files = {"LITE0": str(lite0), "OUT": str(tmp_path / "out.pth")}
    return lambda command: [files.get(word, word) for word in command.split()]


@pytest.mark.parametrize("command", _COMMANDS)
def test_json_is_one_object_with_a_schema_and_nothing_else(
    run: Run, words: Callable[[str], list[str]], command: str
) -> None:
    found = json.loads(run(*words(command), "--json").out)
    assert found["schema"].startswith("effconvert/")


@pytest.mark.parametrize("command", _COMMANDS)
def test_json_goes_to_a_file_and_the_text_is_printed_as_without(
    run: Run, words: Callable[[str], list[str]], tmp_path: Path, command: str
) -> None:
    plain = run(*words(command)).out
    ran = run(*words(command), "--json", tmp_path / "x.json")
    assert (ran.exit_code, ran.out, ran.err) == (0, plain, "")
    assert json.loads((tmp_path / "x.json").read_text()) == json.loads(run(*words(command), "--json").out)


def test_only_a_name_of_json_behind_it_is_its_file(run: Run, lite0: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in lite0.iterdir()}
    assert json.loads(run("inspect", "--json", lite0).out)["variant"] == "lite0"
    assert {path: path.read_bytes() for path in lite0.iterdir()} == before
    assert run("inspect", f"--json={tmp_path / 'x.json'}", lite0).exit_code == 0
    assert json.loads((tmp_path / "x.json").read_text())["variant"] == "lite0"


def test_a_file_of_json_must_be_called_so(run: Run, lite0: Path, tmp_path: Path) -> None:
    ran = run("inspect", lite0, f"--json={tmp_path / 'x.txt'}")
    assert ran.exit_code == 8
    assert "a file of JSON ends in .json" in ran.err
    assert not (tmp_path / "x.txt").exists()


def test_a_word_behind_json_that_nothing_takes_may_be_its_file(run: Run, lite0: Path, tmp_path: Path) -> None:
    ran = run("inspect", lite0, "--json", tmp_path / "out")
    assert ran.exit_code == 2
    assert "if it is the file for --json: that must end in .json" in ran.err


@pytest.mark.parametrize("content", ['{"weight_map": {}}', '{"schema": "mine"}', "[1]", "text"])
def test_a_file_that_is_not_of_effconvert_is_not_replaced(run: Run, lite0: Path, tmp_path: Path, content: str) -> None:
    mine = tmp_path / "model.safetensors.index.json"
    mine.write_text(content)
    ran = run("inspect", lite0, "--json", mine)
    assert ran.exit_code == 8
    assert "was not written by --json" in ran.err
    assert mine.read_text() == content


def test_an_earlier_result_is_replaced(run: Run, lite0: Path, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"schema": "effconvert/inspection/1"}')
    assert run("inspect", lite0, "--json", tmp_path / "x.json").exit_code == 0
    assert json.loads((tmp_path / "x.json").read_text())["variant"] == "lite0"


def test_every_json_option_is_the_same() -> None:
    helps = set()
    for name in cli.list_commands(Context(cli)):
        command = cli.get_command(Context(cli), name)
        assert command
        helps |= {
            (param.help, param.metavar)
            for param in command.params
            if isinstance(param, click.Option) and "--json" in param.opts
        }
    assert len(helps) == 1

"""Commands in a real terminal of 80 columns, and the same commands in a pipe."""

from pathlib import Path

import pytest

import effconvert
from helpers.deep import deep_but
from helpers.forked import run_forked
from helpers.image_sets import samples, write_class_folders, write_flat_folder
from helpers.terminals import on_terminal, screen

COMMANDS = {
    "list": ["list"],
    "list of one": ["list", "--framework", "tensorflow"],
    "cost": ["cost"],
    "cost of one": ["cost", "--variant", "b0"],
    "tables": ["tables"],
    "tables of one": ["tables", "--variant", "b0"],
    "disagreements": ["tables", "--disagreements"],
    "frameworks": ["frameworks", "--quick"],
    "inspect": ["inspect", "lite0-checkpoint"],
    "inspect converted": ["inspect", "lite0.safetensors"],
    "convert": ["convert", "lite0-checkpoint", "--to", "canonical", "--out", "out.safetensors", "--force"],
    "moves": ["map", "moves", "timm", "--variant", "lite0"],
    "diff": ["diff", "lite0.safetensors", "lite0-checkpoint"],
    "diff of two": ["diff", "lite0.safetensors", "other.safetensors"],
    "predict": ["predict", "lite0.safetensors", "photographs"],
    "verify": ["verify", "lite0.safetensors", "--against", "lite0.safetensors", "--size", "64", "--layers"],
    "verify fails": ["verify", "other.safetensors", "--against", "lite0.safetensors", "--size", "64", "--explain"],
}
_OWN_WORDS = {"(a", "wider", "window", "also", "shows"}  # what only a narrow terminal is told


@pytest.fixture(scope="module")
def folder(lite0: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, what it was converted to, another network, and images; names are short in it."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "lite0-checkpoint").symlink_to(lite0)
    effconvert.convert(lite0, folder / "lite0.safetensors", weights="base")
    network = effconvert.load_model(folder / "lite0.safetensors")
    network.stem.conv.weight.data.mul_(2)
    from safetensors.torch import save_file

    save_file(network.state_dict(), folder / "other.safetensors")
    write_class_folders(folder / "images", samples()[:2])
    write_flat_folder(folder / "photographs", samples()[:2])
    return folder


def piped(folder: Path, *arguments: str) -> str:
    return run_forked(*arguments, folder=folder).out


def words_of(lines: list[str]) -> set[str]:
    return {word.rstrip(":,;)") for line in lines for word in line.split() if word.strip("-")}


@pytest.mark.parametrize("name", deep_but(COMMANDS, lambda name: name not in ("verify fails", "predict")))
def test_every_line_fits_and_no_word_is_cut(folder: Path, name: str) -> None:
    command = COMMANDS[name]
    seen, plain = on_terminal(*command, folder=folder), piped(folder, *command)
    assert seen.exit_code in (0, 5), seen.text
    wide = [line for line in seen.lines if len(line) > 80 and len(line.split()) > 1]
    assert not wide
    shown = [line for line in seen.lines if not line.startswith("✓ ") or "NETWORK" in line]  # without the steps
    assert words_of(shown) - _OWN_WORDS <= words_of(plain.splitlines())


@pytest.mark.parametrize("name", deep_but(["cost", "verify fails"], lambda name: name == "cost"))
def test_a_pipe_gets_neither_colour_nor_broken_lines(folder: Path, name: str) -> None:
    plain = piped(folder, *COMMANDS[name])
    assert "\x1b" not in plain
    assert any(len(line) > 80 for line in plain.splitlines())


def test_a_verdict_is_coloured_but_not_with_no_color(folder: Path) -> None:
    command = COMMANDS["diff"]
    assert "\x1b[32m" in on_terminal(*command, folder=folder).raw
    assert "\x1b[3" not in on_terminal(*command, folder=folder, variables={"NO_COLOR": "1"}).raw


def test_verify_shows_which_process_runs_and_what_it_took(folder: Path) -> None:
    seen = on_terminal(*COMMANDS["verify"], folder=folder)
    steps = [line for line in seen.lines if line.startswith("✓ ") and line.endswith(" s")]
    assert [step.split()[1] for step in steps][:3] == ["looking", "running", "running"]
    assert any("the canonical network on lite0.safetensors" in step for step in steps)
    (verdict,) = [line for line in seen.lines if line.startswith("✓ SAME NETWORK")]
    assert list(seen.lines).index(verdict) > list(seen.lines).index(steps[-1])


def test_the_bar_of_validate_does_not_tear_what_is_printed(folder: Path) -> None:
    command = ["validate", "lite0.safetensors", "--data", "images", "--partial", "--workers", "0", "--size", "64"]
    for again in (False, True):
        seen = on_terminal(*command, folder=folder)
        assert seen.exit_code == 0, seen.text
        assert seen.lines[0].split() == "data images: a folder per class".split()
        assert "━" not in seen.text
        steps = "opening the files and the data", "loading the networks and preparing the first images"
        assert all(step in seen.raw and step not in seen.text for step in steps)
        assert ("effconvert-runs/lite0.npz is complete" in seen.text) == again
        assert "\x1b[" in seen.raw  # there was a bar


@pytest.mark.parametrize(
    "command",
    [
        ["run", "lite0.safetensors", "-o", "run.txt"],
        ["validate", "images/a.json", "--data", "images"],
        ["validate", "lite0.safetensors", "--data", "images", "--weights", "bas"],
        ["verify", "lite0.safetensors", "--against", "lite0.safetensors", "--framework", "timm"],
    ],
    ids=" ".join,
)
def test_a_step_that_is_refused_leaves_only_the_message(folder: Path, command: list[str]) -> None:
    seen = on_terminal(*command, folder=folder)
    assert seen.exit_code > 0
    assert "\x1b[2K" in seen.raw  # a step was shown
    assert seen.lines[0].startswith("effconvert: "), seen.text
    assert not [line for line in seen.lines if line.endswith(" s")]


def test_the_emulated_screen_is_what_a_terminal_shows() -> None:
    assert screen("bar 0/?\r\x1b[2Kdata\r\nmore\x1b[1A\rDATA\n") == ["DATA", "more"]
    assert screen("bar 0/?data\r\n") == ["bar 0/?data", ""]


@pytest.mark.parametrize(
    "command",
    [
        ["verify", "lite0.safetensors", "--against", "lite0-checkpoint", "--tolerance", "from the first to the last"],
        ["convert", "lite0.safetensors", "--to", "no-such-layout", "--out", "out.safetensors"],
        ["inspect", "images"],
    ],
)
def test_every_line_of_a_refusal_fits_and_no_word_is_cut(folder: Path, command: list[str]) -> None:
    seen = on_terminal(*command, folder=folder)
    ran = run_forked(*command, folder=folder)
    assert seen.exit_code == ran.exit_code > 0
    assert not [line for line in seen.lines if len(line) > 80 and len(line.split()) > 1]
    assert " ".join(seen.text.split()) == " ".join(ran.err.split())

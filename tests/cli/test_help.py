"""The help of the commands."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from effconvert.cli import COMMANDS, SECTIONS, cli
from effconvert.cli.click_classes import Context, MoreOption
from helpers.running import Ran

Run = Callable[..., Ran]


def test_commands_stand_in_sections(run: Run) -> None:
    out = run("--help").out
    places = [out.index(f"\n{title}:\n") for title in SECTIONS]
    assert places == sorted(places)
    assert out.index("\nCheck:\n") < out.index("\n  verify ") < out.index("\nMeasure:\n")


@pytest.mark.parametrize("words", [(), ("verify",), ("map",), ("map", "draft")], ids=" ".join)
def test_help_with_a_command_prints_its_help(run: Run, words: tuple[str, ...]) -> None:
    ran = run("help", *words)
    assert ran.exit_code == 0
    assert ran.out == run(*words, "--help").out


def test_help_of_a_misspelled_command_says_what_was_meant(run: Run) -> None:
    ran = run("help", "verfy")
    assert ran.exit_code == 2
    assert "did you mean verify?" in ran.err


@pytest.mark.parametrize(
    ("name", "layout"), [("tf2keras", "keras"), ("hf2pt", "pt"), ("timm2ms", "ms"), ("pt2hf", "hf")]
)
def test_a_conversion_without_a_command_of_its_own_names_convert(run: Run, name: str, layout: str) -> None:
    ran = run(name, "b0.pth")
    assert ran.exit_code == 2
    assert f"`effconvert convert FILE --to {layout}` converts a file of any layout" in ran.err


def test_common_options_stand_before_the_rest_and_the_facts_behind(run: Run) -> None:
    out = run("convert", "--help").out
    common, more, facts = (out.index(title) for title in ("\nOptions:", "\nMore options:", "\nFacts (of --facts):"))
    assert common < out.index("-o, --out") < more < out.index("--root") < facts < out.index("tf-same or symmetric")


def test_no_line_of_help_ends_within_a_name(run: Run) -> None:
    for name in COMMANDS:
        assert not re.search(r"\w-$", run(name, "--help").out, re.MULTILINE), name


def test_help_fits_80_columns() -> None:
    root = Context(cli, info_name="effconvert", terminal_width=80)
    texts = {"": root.get_help()}
    for name, command in _commands(cli, root):
        context = Context(command, info_name=name, parent=root, terminal_width=80)
        texts[name] = command.get_help(context)
    long = [f"{name}: {line}" for name, text in texts.items() for line in text.splitlines() if len(line) > 80]
    assert not long, "\n".join(long)


def _commands(group: click.Group, parent: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        assert command
        if isinstance(command, click.Group):
            yield from _commands(command, Context(command, parent=parent, info_name=name))
        else:
            yield name, command


def _options() -> Iterator[tuple[str, click.Option]]:
    for name, command in _commands(cli, Context(cli)):
        yield from ((name, param) for param in command.params if isinstance(param, click.Option))


def test_the_help_of_every_option_is_a_sentence_that_begins_with_a_verb() -> None:
    wrong = [
        f"{command} {option.opts[0]}: {option.help}"
        for command, option in _options()
        if not re.fullmatch(r"[A-Z][a-z]+ .*\.", option.help or "", re.DOTALL)
        or (option.help or "").startswith(_NO_VERB)
    ]
    assert not wrong


_NO_VERB = ("As ", "Of ", "For ", "Where ", "How ", "Which ", "The ", "Instead ", "Default ", "With ", "After ")


def test_the_same_option_has_the_same_names_everywhere() -> None:
    short = {option.opts[0]: set[tuple[str, ...]]() for _, option in _options()}
    for _, option in _options():
        if "--restart" not in option.opts:
            short[option.opts[0]].add(tuple(sorted(option.opts)))
    assert all(len(names) <= 1 for names in short.values()), short
    assert all("-o" in option.opts for _, option in _options() if "--out" in option.opts)


def test_most_options_of_a_long_help_are_behind_the_common_ones() -> None:
    for name, command in _commands(cli, Context(cli)):
        options = [param for param in command.params if isinstance(param, click.Option)]
        common = [param for param in options if not isinstance(param, MoreOption)]
        assert len(common) <= 18, f"{name}: {len(common)} options before the rest"


def test_every_command_takes_its_file_as_an_argument(run: Run, lite0: Path, tmp_path: Path) -> None:
    assert run("tf2pt", lite0, "-o", tmp_path / "a.pth").exit_code == 0
    assert run("tf2pt", "--checkpoint", lite0, "--out", tmp_path / "b.pth").exit_code == 0
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()
    assert run("tf2pt", lite0, "--checkpoint", lite0, "-o", tmp_path / "c.pth").exit_code == 0


def test_a_file_and_another_checkpoint_are_a_usage_error(run: Run, lite0: Path, tmp_path: Path) -> None:
    ran = run("ms2pt", lite0, "--checkpoint", tmp_path / "other.ckpt")
    assert ran.exit_code == 2
    assert f"FILE is {lite0}, and --checkpoint is" in ran.err


def test_begin_anew_has_a_name_of_its_own_in_validate(run: Run) -> None:
    assert "--restart, --force" in run("validate", "--help").out

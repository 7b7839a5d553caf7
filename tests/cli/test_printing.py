"""Sentences, pairs and tables at the width of a terminal, and plain in a pipe."""

import re

import pytest

from effconvert.cli.display import terminal
from effconvert.cli.display.terminal import BAD, GOOD, print_code, print_pairs, print_table, say, say_command, say_error

WORDS = "each layer gets the output of its own network's earlier layers and of nothing else in the whole world"


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print for a terminal of 40 columns."""
    monkeypatch.setattr(terminal, "columns", lambda error=False: 40)


@pytest.fixture
def coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let click keep colours, as on a terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda stream, color=None: False)


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("narrow")
def test_a_sentence_is_broken_between_words_and_hangs(capsys: pytest.CaptureFixture[str]) -> None:
    say(WORDS, begin="  - ")
    lines = lines_of(capsys)
    assert len(lines) > 2
    assert all(len(line) <= 40 for line in lines)
    assert lines[0].startswith("  - each")
    assert all(line.startswith("    ") for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == f"- {WORDS}"


@pytest.mark.usefixtures("narrow")
def test_a_word_that_is_longer_than_a_line_stands_whole(capsys: pytest.CaptureFixture[str]) -> None:
    address = "https://host.invalid/" + "efficientnet/" * 6
    say(f"read {address} first")
    assert address in lines_of(capsys)


@pytest.mark.usefixtures("narrow")
def test_the_lines_of_a_pair_hang_below_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs([("source", WORDS), ("", "one more"), ("to", "here")])
    lines = lines_of(capsys)
    assert lines[0].startswith("source  each")
    assert all(line.startswith(" " * 8) and len(line) <= 40 for line in lines[1:-1])
    assert lines[-2:] == ["        one more", "to      here"]


def test_a_pipe_gets_one_line_for_each_pair(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs([("source", WORDS), ("warning", WORDS)])
    assert lines_of(capsys) == [f"source   {WORDS}", f"warning  {WORDS}"]


def rows(count: int = 2) -> list[list[str]]:
    return [["b0", "5,288,548", "385,814,752", WORDS], ["b1", "7,794,184", "686,802,832", "equal"]][:count]


HEADERS = ["variant", "parameters", "operations", "verdict"]


def test_a_pipe_gets_the_whole_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEADERS, rows(), "lrrl", below=("verdict",), drop=("operations",))
    lines = lines_of(capsys)
    assert lines[0].split() == HEADERS
    assert lines[2] == f"b0        5,288,548  385,814,752  {WORDS}"


@pytest.mark.usefixtures("narrow")
def test_a_column_that_does_not_fit_moves_below_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEADERS, rows(), "lrrl", below=("verdict",), drop=("operations",))
    lines = lines_of(capsys)
    assert all(len(line) <= 40 for line in lines)
    assert lines[0].split() == HEADERS[:3]
    assert lines[3].startswith("    verdict: each layer")
    assert lines[-1] == "    verdict: equal"


@pytest.mark.usefixtures("narrow")
def test_a_last_column_wraps_beside_its_row_where_there_is_room(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["a", "verdict"], [["b0", WORDS], ["b1", "equal"]], below=("verdict",))
    lines = lines_of(capsys)
    assert lines[0] == "a   verdict"
    assert lines[2].startswith("b0  each layer")
    assert lines[3].startswith("    ")
    assert lines[-1] == "b1  equal"


@pytest.mark.usefixtures("narrow")
def test_a_column_that_is_left_out_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(HEADERS, [["edgetpu-s", "1,288,548", "385,814,752", "-"]], drop=("operations", "parameters"))
    lines = lines_of(capsys)
    assert lines[0].split() == ["variant", "parameters", "verdict"]
    assert lines[-1] == "(a wider window also shows: operations)"


@pytest.mark.usefixtures("coloured")
def test_words_with_a_meaning_are_coloured_and_the_columns_stay(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(
        ["name", "state"], [["timm", "usable"], ["keras", "missing"]], meanings={"usable": GOOD, "missing": BAD}
    )
    out = capsys.readouterr().out
    assert "\x1b[32m\x1b[1musable\x1b[0m" in out
    assert "\x1b[31m\x1b[1mmissing\x1b[0m" in out
    assert re.sub(r"\x1b\[\d+m", "", out).splitlines()[2:] == ["timm   usable", "keras  missing"]


@pytest.mark.usefixtures("coloured")
def test_no_color_is_respected(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    say("SAME NETWORK", GOOD)
    print_pairs([("warning", "assumed")])
    assert "\x1b" not in capsys.readouterr().out


def test_s7_text_from_a_file_does_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2Jb\rc")
    print_table(["x"], [["a\nb"]])
    print_pairs([("x\r", "a\x1bb")])
    assert not {"\x1b", "\r"} & set(capsys.readouterr().out)


@pytest.mark.usefixtures("narrow")
def test_code_keeps_its_lines_and_its_indentation(capsys: pytest.CaptureFixture[str]) -> None:
    code = "network = keras.applications.EfficientNetB0(\n    weights=None, include_top=True, input_shape=(224, 224, 3),\n)"
    print_code("Load it:", code)
    assert code in capsys.readouterr().out


@pytest.mark.usefixtures("narrow")
def test_a_command_is_quoted_and_stands_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say_command(["effconvert", "convert", "c d.safetensors", "--to", "timm", "--out", "c d-timm.safetensors"])
    assert lines_of(capsys) == ["effconvert convert 'c d.safetensors' --to timm --out 'c d-timm.safetensors'"]


@pytest.mark.usefixtures("narrow")
def test_an_error_is_broken_between_words_and_keeps_the_lines_of_its_list(capsys: pytest.CaptureFixture[str]) -> None:
    say_error(f"effconvert: {WORDS}:\n  give --out NAME, or EFFCONVERT_PYTHON_TENSORFLOW=PATH\n  two")
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert all(len(line) <= 40 for line in lines)
    assert lines[1].startswith("  ")
    assert lines[-3:] == ["  give --out NAME, or", "    EFFCONVERT_PYTHON_TENSORFLOW=PATH", "  two"]


def test_an_error_in_a_pipe_is_as_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"effconvert: {WORDS} {WORDS}:\n  one  two"
    say_error(text)
    assert capsys.readouterr().err == f"{text}\n"

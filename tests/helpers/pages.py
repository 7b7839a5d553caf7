"""Pages whose commands are run: README.md and docs/, block by block, and what they print compared with what they show.

Blocks of a page run in their order, in one folder. The word behind the fence says what a block is:

- `console`: commands behind `$ `, each followed by what it prints. A line `…` stands for lines that are left out.
- `sh`: commands alone, one a line.
- `python`: a program, after those above it on the page.
- `pycon`: the same, typed into a shell: behind `>>> ` and `... `, each statement followed by what it shows.

A comment in the line above the fence says more: `<!-- needs: frameworks -->` (a key of NEEDS), `<!-- exit code: 4 -->` of a
command that is refused, `<!-- file: my.toml -->` of a block that is written to a file first.
"""

import io
import os
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from doctest import DocTestParser
from pathlib import Path
from typing import Any

from helpers.places import PROJECT
from helpers.running import Ran

ROOT = PROJECT
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

HERE, FRAMEWORKS, MINDSPORE, NOWHERE = "make test", "test_pages.py", "test_mindspore_pages.py", "nowhere"
# {what a block needs: which tests run it}.
NEEDS = {
    "": HERE,
    "a download": HERE,  # of published files, from a server of the test's own
    "frameworks": FRAMEWORKS,  # the real libraries, trained weights
    "MindSpore": MINDSPORE,
    "ImageNet": NOWHERE,  # its 50,000 images may not be passed on
    "several GPUs": NOWHERE,  # no machine that tests has them
    "an installation": NOWHERE,  # tests/frameworks/test_installation.py installs a wheel and a source archive
}

_FOLDER = re.compile(r"(?<![\w./])(//)?/[\w.@-][\w.@/-]*/")  # of an absolute path, or of an address file:///
# What differs from run to run and from machine to machine, and is not compared.
_MASKS = [
    (re.compile(r"^(time|computed) .*"), r"\1"),  # how fast it was
    (re.compile(r"\b\d+(\.\d+)? s\b"), "TIME"),
    (_FOLDER, r"\1/home/you/"),
    (re.compile(r"\b[0-9a-f]{40,64}\b"), "HASH"),
    (re.compile(r"\b\d+\.\d+\.\d+\b"), "VERSION"),
    (re.compile(r"\b\d\.\de[-+]\d\d\b"), "ROUNDING"),  # differences of floating-point numbers
    (re.compile(r"worst layer .*"), "worst layer LAYER"),
    (re.compile(r"nearest to its tolerance is .*"), "nearest to its tolerance is LAYER"),
]
_BLOCK = re.compile(
    r"(?P<notes>(?:^<!-- [^\n]* -->\n)*)^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_NOTE = re.compile(r"<!-- (needs|exit code|file): (.+?) -->")
_REWRITE = bool(os.environ.get("EFFCONVERT_REWRITE_PAGES"))


@dataclass(frozen=True)
class Block:
    """A fenced block. notes: of the comments above it. start: where its text begins in the page."""

    kind: str
    text: str
    notes: Mapping[str, str]
    start: int

    @property
    def runs(self) -> bool:
        """Whether something is run of it."""
        return self.kind in ("console", "sh", "python", "pycon")

    @property
    def run_by(self) -> str:
        """Which tests run it; KeyError for a need that nobody knows."""
        return NEEDS[self.notes.get("needs", "")]

    def commands(self) -> Iterator[tuple[str, str | None]]:
        """Yield each command with what is shown of its output, None where nothing is said of that."""
        if self.kind == "sh":
            yield from ((line, None) for line in self.text.splitlines() if shlex.split(line, comments=True))
        elif self.kind == "console":
            for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                yield command, output

    def statements(self) -> Iterator[tuple[str, str]]:
        """Yield each statement of a shell of Python with what is shown of its output."""
        if self.kind == "pycon":
            yield from ((each.source, each.want) for each in DocTestParser().get_examples(self.text))


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page in their order."""
    return [
        Block(found["kind"], found["text"], dict(_NOTE.findall(found["notes"])), found.start("text"))
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def run_page(page: Path, run: Callable[..., Ran], run_by: str) -> list[str]:
    """Run what `run_by` runs of a page in this folder, and what needs nothing; return the commands.

    With EFFCONVERT_REWRITE_PAGES=1 what is printed is written into the page instead of being compared.
    """
    variables: dict[str, Any] = {}
    done = []
    for number, block in enumerate(blocks_of(page)):
        if block.notes.get("needs") and block.run_by != run_by:
            continue
        if "file" in block.notes:
            Path(block.notes["file"]).write_text(block.text, encoding="utf-8")
        if block.kind == "python":
            exec(compile(block.text, page.name, "exec"), variables)
        for command, shown in block.commands():
            ran = _run(command, run)
            wanted = int(block.notes.get("exit code", 0))
            assert ran.exit_code == wanted, f"{page.name}: {command}: exit code {ran.exit_code}\n{ran.err}{ran.out}"
            if shown is not None:
                _compare(page, number, f"$ {command}\n", shown, ran.out + ran.err)
            done.append(command)
        for statement, shown in block.statements():
            typed = "... ".join([">>> ", *statement.splitlines(keepends=True)]).replace(">>> ... ", ">>> ", 1)
            _compare(page, number, typed, shown, _answer(statement, variables))
            done.append(statement)
    return done


def _answer(statement: str, variables: dict[str, Any]) -> str:
    """Return what a shell of Python shows after `statement`."""
    shown = io.StringIO()
    with redirect_stdout(shown):
        try:
            exec(compile(statement, "<shell>", "single"), variables)
        except Exception:
            traceback.print_exc(file=shown)
    return shown.getvalue()


def _run(command: str, run: Callable[..., Ran]) -> Ran:
    words = shlex.split(command, comments=True)
    if words[0] == "effconvert":
        return run(*words[1:])
    command = re.sub(r"^torchrun ", f"{shlex.quote(sys.executable)} -m torch.distributed.run ", command)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, env={**os.environ, "PATH": path})
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def _compare(page: Path, number: int, typed: str, shown: str, printed: str) -> None:
    """Compare what was printed after the line `typed` with what the page shows there."""
    if _REWRITE:
        block = blocks_of(page)[number]
        kept = block.text.replace(f"{typed}{shown}", f"{typed}{_shortened(shown, printed)}")
        text = page.read_text(encoding="utf-8")
        page.write_text(text[: block.start] + kept + text[block.start + len(block.text) :], encoding="utf-8")
        return
    assert matches(shown, printed), f"{page.name} shows after\n{typed}\n{shown}\nand this is printed:\n{printed}"


def matches(shown: str, printed: str) -> bool:
    """Return whether a page shows what was printed, but for what it leaves out and what is masked."""
    lines = [re.escape(line) for line in _masked(shown)]
    pattern = "".join(r"(?:.*\n)*?" if line == re.escape("…") else f"{line}\n" for line in lines)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _masked(printed))) is not None


def _masked(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    for mask, word in _MASKS:
        lines = [mask.sub(word, line) for line in lines]
    return lines


def _shortened(shown: str, printed: str) -> str:
    """Return what was printed with as many lines left out in the middle as a page leaves out now."""
    lines = [_FOLDER.sub(r"\1/home/you/", line.rstrip()) for line in printed.strip("\n").splitlines()]
    now = shown.strip("\n").splitlines()
    if "…" in now:
        before = now.index("…")
        after = len(now) - before - 1
        lines = [*lines[:before], "…", *lines[len(lines) - after :]]
    return "".join(f"{line}\n" for line in lines)

"""A command in a real pseudo-terminal, and what its user sees there."""

import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from helpers.forked import become_command

_PART = re.compile(r"\x1b\[(?P<numbers>[?0-9;]*)(?P<letter>[A-Za-z])|(?P<text>[^\x1b])", re.DOTALL)
_ROWS = 60


@dataclass(frozen=True)
class Seen:
    """What a command left on a terminal. raw: all that it wrote. lines: what is on the screen when it ends."""

    exit_code: int
    raw: str
    lines: Sequence[str]

    @property
    def text(self) -> str:
        """The lines of the screen as one text."""
        return "\n".join(self.lines)


def on_terminal(
    *arguments: object, columns: int = 80, folder: Path | None = None, variables: Mapping[str, str] | None = None
) -> Seen:
    """Run `effconvert` with these arguments, its output and its errors on one terminal of this width."""
    child, descriptor = pty.fork()
    if child == 0:
        try:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
            become_command(*arguments, folder=folder, variables={"TERM": "xterm-256color", **(variables or {})})
        finally:
            os._exit(127)
    raw = _everything(descriptor)
    _, status = os.waitpid(child, 0)
    return Seen(os.waitstatus_to_exitcode(status), raw, screen(raw))


def screen(raw: str) -> list[str]:
    """Return the lines that a terminal without a right margin shows after `raw`.

    So a line that is wider than the terminal is seen whole, and can be found.
    """
    lines, row, column = [""], 0, 0
    for part in _PART.finditer(raw):
        numbers, letter, text = part["numbers"], part["letter"], part["text"]
        if letter == "A":
            row = max(0, row - int(numbers or 1))
        elif letter == "K":
            lines[row] = "" if numbers == "2" else lines[row][:column]
        elif text == "\r":
            column = 0
        elif text == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif text:
            lines[row] = lines[row][:column].ljust(column) + text + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


def _everything(descriptor: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(descriptor, 1 << 16)
        except OSError:  # the child has ended
            break
        if not part:
            break
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts).decode(errors="replace")

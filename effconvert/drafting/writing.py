"""A draft as TOML. An open point is a list of candidates; the reader of maps refuses it until one is left."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from effconvert.drafting.kinds import Kinds
from effconvert.drafting.rows import Row, Rows, Words

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH = 120
_QUESTION = "  # QUESTION: leave the right one"
_CONFIRM = "  # QUESTION: verify a converted file with its own library; leave the second text if they agree"
_MISSING = "  # QUESTION: the file lacks it; what is its name in the library?"


@dataclass(frozen=True)
class Head:
    """Everything in a drafted map except the rows.

    comment: lines on the evidence. root: the prefix of every name. facts: {fact: (value, reason)}. fills, ignore: {name
    or pattern: reason}; "" is a question. average: the name of an average; several if it is open. caution: the warning
    of every use of the map.
    """

    layout: str
    variant: str
    comment: Sequence[str]
    root: str
    separator: str
    framework: str
    average: Words
    facts: Mapping[str, tuple[str, str]]
    fills: Mapping[str, str]
    ignore: Mapping[str, str]
    caution: Words = ""


def toml_of(head: Head, rows: Rows, kinds: Kinds, closed: bool = False) -> str:
    """Return the map as text. closed: the first candidate answers each question."""
    writer = _Writer(closed)
    written = {part: [(row, kinds.kind_of(row)) for row in each] for part, each in rows.parts.items()}
    lines = [f"# {line}".rstrip() for line in head.comment] + writer.keys(head)
    if head.caution:
        lines += ["", "[library]", writer.asked("caution = ", head.caution, mark=_CONFIRM)]
    lines += ["", "[variants]", f"same = [{_quoted(head.variant)}]"]
    lines += ["", "[facts]  # no tensor tells them"]
    lines += [f"{name} = {value}  # {why}" for name, (value, why) in head.facts.items()]
    if rows.series:
        lines += ["", "[series]", *writer.series(rows)]
    if rows.network:
        lines += ["", "[network]", f"series = [{', '.join(map(_quoted, dict.fromkeys(rows.network)))}]"]
    if kinds.axes:
        lines += ["", "[axes]", *(writer.asked(f"{name} = ", order) for name, order in kinds.axes.items())]
    lines += ["", "[kinds]", *(writer.kind(name, slots) for name, slots in kinds.kinds.items())]
    lines += ["", "[layers]"]
    for part, each in written.items():
        lines += writer.part(part, each)
    if head.ignore:
        lines += ["", "[ignore]", *writer.ignored(head.ignore)]
    if head.fills:
        lines += ["", "[fill]", *(_fill(name, reason) for name, reason in head.fills.items())]
    return "\n".join(lines) + "\n"


class _Writer:
    """Writes lines; `closed` answers each question with its first candidate."""

    def __init__(self, closed: bool) -> None:
        self.closed = closed

    def keys(self, head: Head) -> list[str]:
        """Return the lines before the first table."""
        lines = ["schema    = 1", f"layout    = {_quoted(head.layout)}", f"separator = {_quoted(head.separator)}"]
        if head.root:
            lines.append(f"root      = {_quoted(head.root)}")
        if head.framework:
            lines.append(f"include   = [{_quoted(head.framework)}]  # by the format of the file")
        return [*lines, self.asked("average   = ", head.average)] if head.average else lines

    def asked(self, before: str, words: Words, after: str = "", mark: str = "") -> str:
        """Return a line with a value, and a mark if it is a question."""
        if isinstance(words, str) or self.closed:
            mark = ""
        elif not mark:
            mark = _QUESTION if len(words) > 1 else _MISSING
        return f"{before}{self.value(words)}{after}{mark}"

    def value(self, words: Words) -> str:
        """Return a value; a list if it is a question."""
        if isinstance(words, str):
            return _quoted(words)
        return _quoted(words[0]) if self.closed else f"[{', '.join(map(_quoted, words))}]"

    def series(self, rows: Rows) -> list[str]:
        """Return the lines of all series; a list of names has one line for each, with its layer."""
        lines = []
        for name, items in rows.series.items():
            if name not in rows.lists:
                lines.append(f"{name} = [{', '.join(map(self.value, items))}]")
                continue
            lines.append(f"{name} = [")
            for item, layer in zip(items, rows.lists[name], strict=True):
                mark = ", QUESTION: leave the right one" if isinstance(item, tuple) and not self.closed else ""
                lines.append(f"    {self.value(item)},  # {layer}{mark}")
            lines.append("]")
        return lines

    def kind(self, name: str, slots: Mapping[str, Words]) -> str:
        """Return the line of a kind."""
        held = ", ".join(f"{_key(leaf)} = {self.value(target)}" for leaf, target in slots.items())
        asks = any(isinstance(target, tuple) for target in slots.values()) and not self.closed
        return f"{name} = {{{f' {held} ' if held else ''}}}{_QUESTION if asks else ''}"

    def part(self, part: str, rows: Sequence[tuple[Row, str]]) -> list[str]:
        """Return the lines of stem, block or head, with aligned columns."""
        layer_width = max(len(row.layer) for row, _ in rows) + 3
        kind_width = max(len(kind) for _, kind in rows) + 3
        lines = []
        for number, (row, kind) in enumerate(rows, 1):
            begin = " " * 9 if number > 1 else f"{part:<5} = ["
            cells = f"{_quoted(row.layer) + ',':<{layer_width}} {_quoted(kind) + ',':<{kind_width}} "
            flags = "".join(f", {_quoted(flag)}" for flag in row.flags)
            end = "]]" if number == len(rows) else "],"
            lines.append(self.asked(f"{begin}[{cells}", row.source, f"{flags}{end}"))
        return lines

    def ignored(self, reasons: Mapping[str, str]) -> Iterator[str]:
        """Yield the lines of [ignore] for {pattern: reason}: one list per reason, "" for those without one."""
        for reason in dict.fromkeys(reasons.values()):
            mark = (
                ""
                if reason or self.closed
                else "  # QUESTION: say why they may stay behind, in place of the empty reason"
            )
            said = reason or ("unknown" if self.closed else "")
            yield f"{_quoted(said)} = [{mark}"
            yield from (f"    {_quoted(name)}," for name, why in reasons.items() if why == reason)
            yield "]"


def _fill(name: str, reason: str) -> str:
    return f'{_key(name)} = {{ dtype = "int64", value = 0, reason = {_quoted(reason)} }}'


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)

"""One exception class per kind of failure, each with the exit code that the command line returns."""

from collections.abc import Iterable, Sequence

_SHOWN = 20
_LOOK_ALIKE = str.maketrans("oil", "011")


class EffconvertError(Exception):
    """A failure that a user can act on; its text is the whole message.

    `exit_code` is the exit code of the command line.
    """

    exit_code = 1


class MissingPath(EffconvertError):
    """A given path does not exist: a usage error."""

    exit_code = 2


class UnreadableCheckpoint(EffconvertError):
    """A file is not a checkpoint, or is damaged, truncated or encrypted, or asks to run code."""

    exit_code = 3


class LayoutMismatch(EffconvertError):
    """Tensors are missing, unknown, duplicate or of the wrong shape, or the target cannot have the facts."""

    exit_code = 4


class UnknownName(LayoutMismatch):
    """A name that nothing has: of a variant, layout, framework, training, recipe or fact. A usage error."""

    exit_code = 2


class BadMap(LayoutMismatch):
    """A mapping file has something that is not part of the map language."""


class NumericMismatch(EffconvertError):
    """Two things that must be equal differ in their values."""

    exit_code = 5


class PublishedMismatch(EffconvertError):
    """An accuracy, a parameter count or an operation count differs from the published one."""

    exit_code = 6


class DatasetProblem(EffconvertError):
    """Images are missing, unreadable, without a label or counted twice."""

    exit_code = 7


class OutputProblem(EffconvertError):
    """The output exists, the disk is full, or the folder cannot be written."""

    exit_code = 8


class Unavailable(EffconvertError):
    """No internet for a download, or a framework or extra that is not installed."""

    exit_code = 9


class NotThere(Unavailable):
    """The server was reached and does not have the file."""


def listing(heading: str, problems: Iterable[str]) -> str:
    """Return `heading` and one line for each problem: the first 20, and a count of the others."""
    problems = list(problems)
    lines = [heading, *(f"  {problem}" for problem in problems[:_SHOWN])]
    if len(problems) > _SHOWN:
        lines.append(f"  … and {len(problems) - _SHOWN:,} more")
    return "\n".join(lines)


def some(names: Sequence[str], shown: int) -> str:
    """Return the first of `names` in one line, with `…` if there are more: `a, b, …`."""
    return ", ".join([*names[:shown], *(["…"] if len(names) > shown else [])])


def close_name(word: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that `word` probably means: it is spelled like it, but for case; None without one."""
    from difflib import get_close_matches

    spelled = {name.lower(): name for name in names}
    # In a short word one wrong letter is much, as in `bo` for `b0`, so what looks alike is compared first.
    alike = {name.translate(_LOOK_ALIKE): name for name in reversed(spelled)}
    look = word.lower().translate(_LOOK_ALIKE)
    found = [alike[look]] if look in alike else get_close_matches(word.lower(), spelled, n=1)
    return spelled[found[0]] if found else None


def known_names(word: str, names: Iterable[str], known: str = "known are", others: Iterable[str] = ()) -> str:
    """Return a phrase for a message about the unknown `word`: the name that it probably means, and all names.

    others: names that are allowed too, and are not listed.

    Example: `known_names("b00", ["b0", "b1"])` is `did you mean b0? known are b0, b1`.
    """
    names = list(dict.fromkeys(names))
    meant = close_name(word, [*names, *others])
    everything = f"{known} {', '.join(names) or 'none'}"
    return f"did you mean {meant}? {everything}" if meant else everything


def printable(text: str) -> str:
    """Return `text` in one line with escaped control characters, such as a name from a file."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def nearest_first(word: str, names: Iterable[str]) -> list[str]:
    """Return `names` for a message: first those that begin with `word` or are spelled like it."""
    from difflib import get_close_matches

    names, word = list(names), word.lower()
    begun = [name for name in names if word and name.startswith(word)]
    return list(dict.fromkeys([*begun, *get_close_matches(word, names, n=len(names) or 1), *names]))

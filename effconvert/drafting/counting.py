"""Numbered names, such as `bn1` and `bn2` in a block or `conv2d_17` in a network, as a series and rows that draw."""

from collections.abc import Sequence
from dataclasses import dataclass

from effconvert.drafting.names import Mark, split
from effconvert.drafting.pieces import Key, Leaves

Entry = tuple[Key, str, str]  # (row, the number as written, with the underscore before it, the text after it)


@dataclass(frozen=True)
class Unit:
    """The rows with one number.

    keys: its rows, in call order. behind: the text after the number, for each row. used: how many numbers it takes.
    skipped: how many numbers are missing before it.
    """

    keys: tuple[Key, ...]
    behind: tuple[str, ...]
    used: int
    skipped: int

    def row(self, separator: str) -> tuple[str, Leaves, str]:
        """Return the canonical layer, the content of its kind, and the text after the number in its source."""
        if len(self.keys) == 1:
            return *self.keys[0], self.behind[0]
        roles = [role.split(".") for role, _ in self.keys]
        shared = 0
        while all(len(role) > shared + 1 and role[shared] == roles[0][shared] for role in roles):
            shared += 1
        leaves = tuple(
            (f"{behind.removeprefix(separator)}{separator}{leaf}", ".".join([*role[shared:], tensor]), order)
            for (_, own), role, behind in zip(self.keys, roles, self.behind, strict=True)
            for leaf, tensor, order in own
        )
        return ".".join(roles[0][:shared]), leaves, ""


@dataclass(frozen=True)
class Counted:
    """A series and the units that draw from it.

    items: the names; `{word}` is the word before the number. has_bare: the first name has no number.
    """

    items: tuple[str, ...]
    units: tuple[Unit, ...]
    has_bare: bool


def before_number(name: str, count: int) -> str:
    """Return the text before the `count`-th number of a name; `bn` and `bn_1` have the same."""
    text, number = _cut(name, count)
    return text.removesuffix("_") if number else text


def number_and_rest(name: str, count: int) -> tuple[str, str]:
    """Return the `count`-th number of a name, with the underscore before it, and the text after it."""
    text, number = _cut(name, count)
    if not number:
        return "", ""
    begin = len(text.removesuffix("_"))
    end = len(text) + len(number)
    return name[begin:end], name[end:]


def counted(scopes: Sequence[Sequence[Entry]], restart: bool, separator: str) -> Counted | None:
    """Return the series of the numbers in `scopes`, each in call order; None if the numbers are not regular.

    restart: the numbers begin again in each scope.
    """
    written = [number for scope in scopes for _, number, _ in scope]
    numbers = [int(number.lstrip("_")) for number in written if number.lstrip("_").isdigit()]
    signs = {number.rstrip("0123456789") for number in written if number}
    has_bare = "" in written
    if len(signs) != 1 or len(numbers) < sum(map(bool, written)) or (has_bare and min(numbers) == 0):
        return None
    lowest = 0 if has_bare or not restart else min(numbers)
    units = _units(scopes, restart, lowest, separator)
    if units is None:
        return None
    sign = signs.pop()
    if has_bare:
        return Counted(("{word}", f"{{word}}{sign}{{n}}"), units, has_bare)
    if lowest == 0:
        return Counted((f"{sign}{{n}}",), units, has_bare)
    return Counted(tuple(f"{sign}{number}" for number in range(lowest, max(numbers) + 1)), units, has_bare)


def _cut(name: str, count: int) -> tuple[str, str]:
    """Return the text of a name before its `count`-th number, and that number, "" if there are fewer."""
    text = ""
    for part in split(name):
        if isinstance(part, Mark):
            if not count:
                return text, part.raw
            count -= 1
        text += part.raw if isinstance(part, Mark) else part
    return text, ""


def _units(scopes: Sequence[Sequence[Entry]], restart: bool, lowest: int, separator: str) -> tuple[Unit, ...] | None:
    steps: dict[tuple[Key, ...], set[int]] = {}
    skips: dict[tuple[Key, ...], set[int]] = {}
    behind: dict[tuple[Key, ...], set[tuple[str, ...]]] = {}
    expected = lowest
    for scope in scopes:
        expected = lowest if restart else expected
        before: tuple[Key, ...] | None = None
        for number, members in _by_number(scope).items():
            unit = tuple(key for key, _ in members)
            behind.setdefault(unit, set()).add(tuple(rest for _, rest in members))
            if before is None:
                skips.setdefault(unit, set()).add(number - expected)
            else:
                steps.setdefault(before, set()).add(number - expected + 1)
            before, expected = unit, number + 1
    keys = [key for unit in behind for key in unit]
    differs = [len(found) > 1 for found in (*steps.values(), *skips.values())]
    differs += [len(found) > 1 for found in behind.values()]
    if any(differs) or len(set(keys)) < len(keys):
        return None
    units = tuple(
        Unit(unit, rest.pop(), steps.get(unit, {1}).pop(), skips.get(unit, {0}).pop()) for unit, rest in behind.items()
    )
    return units if all(_is_possible(unit, separator) for unit in units) else None


def _by_number(scope: Sequence[Entry]) -> dict[int, list[tuple[Key, str]]]:
    grouped: dict[int, list[tuple[Key, str]]] = {}
    for key, number, rest in scope:
        grouped.setdefault(int(number.lstrip("_") or 0), []).append((key, rest))
    return grouped


def _is_possible(unit: Unit, separator: str) -> bool:
    """Return whether rows can express it: numbers go up, and a number of several layers has a separator after it."""
    alone = len(unit.keys) == 1
    parted = bool(separator) and all(rest.startswith(separator) for rest in unit.behind)
    return unit.used > 0 and unit.skipped >= 0 and (alone or (parted and bool(unit.row(separator)[0])))

"""Names that count: `bn1`, `bn2`, `bn3` in a block, `conv2d_17` in a network, as a series and the rows that draw."""

from collections.abc import Sequence
from dataclasses import dataclass

from effconvert.drafting.names import Mark, split
from effconvert.drafting.pieces import Key, Leaves

Entry = tuple[Key, str, str]  # a row, the number as it is written with the underscore before it, what stands behind


@dataclass(frozen=True)
class Unit:
    """What stands under one number.

    keys: its rows, in call order. behind: what stands behind the number, in each row. used: numbers that are used up.
    skipped: numbers that are left out before it.
    """

    keys: tuple[Key, ...]
    behind: tuple[str, ...]
    used: int
    skipped: int

    def row(self, separator: str) -> tuple[str, Leaves, str]:
        """Return the canonical layer, what its kind holds, and what stands behind the number in its source."""
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

    items: `{word}` in them is the word before the number. has_bare: the first has no number.
    """

    items: tuple[str, ...]
    units: tuple[Unit, ...]
    has_bare: bool


def before_number(name: str, count: int) -> str:
    """Return the text before the `count`-th number of a name; `bn` and `bn_1` have the same."""
    text, number = _cut(name, count)
    return text.removesuffix("_") if number else text


def number_and_rest(name: str, count: int) -> tuple[str, str]:
    """Return the `count`-th number of a name, with the underscore before it, and what stands behind it."""
    text, number = _cut(name, count)
    if not number:
        return "", ""
    begin = len(text.removesuffix("_"))
    end = len(text) + len(number)
    return name[begin:end], name[end:]


def counted(scopes: Sequence[Sequence[Entry]], restart: bool, separator: str) -> Counted | None:
    """Return the series that numbers `scopes`, each in call order; None where the numbers do not go up alike.

    restart: the numbers begin anew in each scope.
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
    """Return the text of a name before its `count`-th number, and that number, "" where there are fewer."""
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
    """Return whether rows can say it: numbers go up, and a unit of several layers has a separator behind its number."""
    alone = len(unit.keys) == 1
    parted = bool(separator) and all(rest.startswith(separator) for rest in unit.behind)
    return unit.used > 0 and unit.skipped >= 0 and (alone or (parted and bool(unit.row(separator)[0])))

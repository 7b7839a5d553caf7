"""Disagreements between sources, with the reasons that the numbers' notes give."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from effconvert.architecture.variants import VARIANTS
from effconvert.reference_tables.cost import OPERATIONS
from effconvert.reference_tables.numbers import Number, read_numbers

# The largest change of an accuracy by another preprocessing, in points. For the 28 networks that
# gen-efficientnet-pytorch measured with TensorFlow's preprocessing and with its own, it is 0.346.
PREPROCESSING = 0.40

Key = tuple[str, str, str, str, str, int, str]


@dataclass(frozen=True)
class Disagreement:
    """Published numbers for the same quantity that differ by more than rounding (or, for accuracies, preprocessing).

    low, high: the smallest and largest value. reasons: from the notes of the numbers; marked: the numbers without a
    reason agree.
    """

    variant: str
    weights: str
    quantity: str
    dataset: str
    precision: str
    size: int
    low: float
    high: float
    numbers: tuple[Number, ...]
    marked: bool
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the disagreement as plain values, for JSON."""
        return asdict(self) | {
            "numbers": [number.to_dict() for number in self.numbers],
            "reasons": list(self.reasons),
        }


@cache
def find_disagreements() -> tuple[Disagreement, ...]:
    """Return every disagreement: variants in their usual order, accuracies before costs."""
    groups: dict[Key, list[Number]] = {}
    for number in read_numbers():
        for key in _keys(number):
            groups.setdefault(key, []).append(number)
    found = [_disagreement(key, group) for key, group in groups.items() if differ(group)]
    order = list(VARIANTS)
    return tuple(sorted(found, key=lambda each: (order.index(each.variant), not each.dataset)))


def _keys(number: Number) -> Iterator[Key]:
    """Yield the quantities that the number belongs to: two if its counted size is not its size."""
    what = (number.variant, number.weights, number.quantity, number.dataset, number.precision)
    if number.dataset:
        yield *what, number.size, ""
    elif number.quantity == OPERATIONS:
        for size in dict.fromkeys((number.size, number.counted_size)):
            yield *what, size, number.convention
    elif number.convention:  # parameters, which are the same at every size
        yield *what, 0, number.convention


def differ(group: list[Number]) -> bool:
    """Return whether the numbers differ by more than rounding, or for accuracies by more than preprocessing."""
    if len(group) < 2:
        return False
    highest_low = max(float(number.value) - number.step / 2 for number in group)
    lowest_high = min(float(number.value) + number.step / 2 for number in group)
    return round(highest_low - lowest_high, 6) > (PREPROCESSING if group[0].dataset else 0)


def _disagreement(key: Key, group: list[Number]) -> Disagreement:
    variant, weights, quantity, dataset, precision, size, _ = key
    values = [float(number.value) for number in group]
    reasons = tuple(dict.fromkeys(number.note for number in group if _says_why(number)))
    return Disagreement(
        variant=variant,
        weights=weights,
        quantity=quantity,
        dataset=dataset,
        precision=precision,
        size=size or max(number.size for number in group),
        low=min(values),
        high=max(values),
        numbers=tuple(group),
        marked=not differ([number for number in group if not _says_why(number)]),
        reasons=reasons,
    )


def _says_why(number: Number) -> bool:
    """Return whether the note says what is wrong or unexplained; other notes only say how the number was made."""
    misplaced = number.counted_size != number.size
    return bool(number.note) and (not number.decides or misplaced or "not explained" in number.note)

"""Published numbers and files of a report, from the tables of reference/."""

from dataclasses import dataclass
from typing import Annotated

from effconvert.report.contents.rules import Count, Pixels, Rule


@dataclass(frozen=True)
class Number:
    """One published number."""

    source: Annotated[str, Rule("id of the source")]
    title: str
    date: str
    model: Annotated[str, Rule("the source's name of it")]
    variant: str
    weights: Annotated[str, Rule('the training; "" for all')]
    quantity: str
    dataset: str
    precision: str
    value: float | str
    unit: str
    step: Annotated[float, Rule("the unit of rounding")]
    size: Pixels
    counted_size: Pixels
    convention: str
    recipe: str
    layout: str
    decides: bool
    note: str


@dataclass(frozen=True)
class Disagreement:
    """Published numbers for the same quantity that differ by more than rounding or preprocessing can explain."""

    variant: str
    weights: str
    quantity: str
    dataset: str
    precision: str
    size: Pixels
    low: float
    high: float
    numbers: tuple[Number, ...]
    marked: Annotated[bool, Rule("whether the numbers without a noted reason agree")]
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A publication of numbers."""

    id: str
    title: str
    publisher: str
    url: str
    revision: Annotated[str, Rule("the version that was read")]
    date: str
    note: str


@dataclass(frozen=True)
class File:
    """One published file of weights."""

    framework: str
    variant: str
    weights: str
    network: Annotated[str, Rule("the framework's name of it")]
    file: str
    url: str
    sha256: str | None
    bytes: Annotated[int | None, Rule(minimum=0)]
    size: Pixels
    classes: Count
    released: Annotated[str, Rule("year and month")]
    recipe: str
    note: str
    source: str


@dataclass(frozen=True)
class Variant:
    """One architecture."""

    name: str
    size: Pixels
    parameters: Annotated[int, Rule("trainable values", minimum=0)]
    multiply_adds: Annotated[int, Rule("of one image; a multiplication and an addition count as one", minimum=0)]


@dataclass(frozen=True)
class Published:
    """Published numbers, from reference/."""

    sources: tuple[Source, ...]
    accuracy: Annotated[tuple[Number, ...], Rule("percent")]
    cost: tuple[Number, ...]
    files: tuple[File, ...]
    disagreements: tuple[Disagreement, ...]
    variants: tuple[Variant, ...]

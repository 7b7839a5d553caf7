"""A network on its way through an evaluation: before it, and after."""

from dataclasses import dataclass, field
from pathlib import Path

from effconvert.validate.predictions import Predictions
from effconvert.validate.subjects import Subject


@dataclass(frozen=True)
class Entry:
    """A network to be measured. name: of its run. first_class: which of its outputs is the first class."""

    subject: Subject
    name: str
    first_class: int


@dataclass(frozen=True)
class Measured:
    """A finished run, and the file that it is kept in. resumed: how many of its answers were there before."""

    out: Path
    resumed: int
    predictions: Predictions = field(repr=False)

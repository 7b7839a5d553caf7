"""What is evaluated and how: a user's decisions, a network before its evaluation, and a finished run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effconvert.validate.predictions import Predictions
    from effconvert.validate.subjects import Subject

EXACT, FAST = "exact", "fast"
# How the images were chosen: every one, some that stand for all, those that a user lists.
ALL, LIMIT, SUBSET = "all", "limit", "subset"


@dataclass(frozen=True)
class Settings:
    """How networks are evaluated.

    device: `cpu` or `cuda`, None a GPU where there is one. dtype: `auto` or a torch dtype. compiled: by torch.compile.
    batch: images at once, None as many as fit. workers: processes that prepare images, None one a core, 0 none.
    pipeline: `exact` or `fast`. skip_broken: images that cannot be read are counted and listed. only_present: only
    classes that the data set has compete. chosen: how the images were chosen. resume: go on where the same run ended
    before. force: begin it anew.
    """

    device: str | None = None
    dtype: str = "auto"
    compiled: bool = False
    batch: int | None = None
    workers: int | None = None
    pipeline: str = EXACT
    skip_broken: bool = False
    only_present: bool = False
    chosen: str = ALL
    resume: bool = False
    force: bool = False


@dataclass(frozen=True)
class Entry:
    """A network to be measured. name: of its run. first_class: which of its outputs is the first class."""

    subject: "Subject"
    name: str
    first_class: int


@dataclass(frozen=True)
class Measured:
    """A finished run, and the file that it is kept in. resumed: how many of its answers were there before."""

    out: Path
    resumed: int
    predictions: "Predictions" = field(repr=False)

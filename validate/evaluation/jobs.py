"""Evaluation jobs: the user's settings, a network before its evaluation, and a finished run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from effconvert.validate.predictions import Predictions
    from effconvert.validate.subjects import Subject

EXACT, FAST = "exact", "fast"
# The choice of images: every one, an even sample, those that a user lists.
ALL, LIMIT, SUBSET = "all", "limit", "subset"


@dataclass(frozen=True)
class Settings:
    """Settings of an evaluation.

    device: `cpu` or `cuda`; None is a GPU if there is one. dtype: `auto` or a torch dtype. compiled: by torch.compile.
    batch: images at once; None is as many as fit. workers: processes that prepare images; None is one per core, 0 is
    none. pipeline: `exact` or `fast`. skip_broken: count and list unreadable images instead of failing. only_present:
    predict only classes that occur in the data set. chosen: how the images were chosen. resume: continue the same
    unfinished run. force: start it again.
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
class EvaluationJob:
    """A network to evaluate. name: of its run. first_class: the output of the first class."""

    subject: "Subject"
    name: str
    first_class: int


@dataclass(frozen=True)
class EvaluationRun:
    """A finished run. out: its file. resumed: the number of answers from earlier, resumed runs."""

    out: Path
    resumed: int
    predictions: "Predictions" = field(repr=False)

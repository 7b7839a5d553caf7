"""Evaluation jobs: the user's settings, a network before its evaluation, and a finished run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effconvert.errors import DatasetProblem
from effconvert.shown import Row, Shown
from effconvert.validate.accuracy.decimals import places
from effconvert.validate.engines.names import AUTO

if TYPE_CHECKING:
    from effconvert.validate.predictions import Predictions
    from effconvert.validate.subjects import Subject

EXACT, FAST = "exact", "fast"
# The choice of images: every one, an even sample, those that a user lists.
ALL, LIMIT, SUBSET = "all", "limit", "subset"


@dataclass(frozen=True)
class Settings:
    """Settings of an evaluation.

    device: `cpu` or `cuda`; None is a GPU if there is one. engine: `auto` or one of `engines.names`. dtype: `auto` or a
    torch dtype. compiled: by torch.compile.
    batch: images at once; None is as many as fit. workers: processes that prepare images; None is one per core, 0 is
    none. pipeline: `exact` or `fast`. skip_broken: count and list unreadable images instead of failing. only_present:
    predict only classes that occur in the data set. chosen: how the images were chosen. resume: continue the same
    unfinished run. force: start it again.
    """

    device: str | None = None
    engine: str = AUTO
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


@dataclass(frozen=True, repr=False)
class EvaluationRun(Shown):
    """A finished run. out: its file. resumed: the number of answers from earlier, resumed runs."""

    out: Path
    resumed: int
    predictions: "Predictions"

    @property
    def line(self) -> str:
        """Top-1 and top-5 in one line, with the verdict."""
        (row,) = self.to_rows()
        images = f"{len(self.predictions):,} images"
        if row["top1"] is None:
            return f"{self.out}: {images} without labels"
        top1, top5 = (f"{row[name]:.{places(len(self.predictions))}f} %" for name in ("top1", "top5"))
        return f"{self.out}: top-1 {top1}, top-5 {top5} of {images}; {row['sentence']}"

    def to_rows(self) -> list[Row]:
        """Return one row: the network, its accuracies in percent with 95 % intervals, and the verdict."""
        record = self.predictions.record
        model, recipe = record["model"], record["recipe"]
        return [
            {
                "file": model["file"],
                "variant": model["variant"],
                "weights": model.get("weights"),
                "recipe": recipe["name"],
                "size": recipe["size"],
                **_accuracy(self.predictions),
                "run": str(self.out),
            }
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return accuracy, verdict and cost as plain values: what `validate --json` prints for each network."""
        from effconvert.validate.accuracy.results import result_of

        return result_of(self).to_dict()


def _accuracy(predictions: "Predictions") -> Row:
    """Return the accuracies of one run and the verdict on them; None without a labelled image."""
    from effconvert.validate.accuracy.judgement import judge
    from effconvert.validate.accuracy.summary import measured_accuracy

    names = [f"top{count}{part}" for count in (1, 5) for part in ("", "_low", "_high")]
    try:
        found = [measured_accuracy(predictions, count) for count in (1, 5)]
    except DatasetProblem as error:
        return {"images": 0, **dict.fromkeys(names), "verdict": None, "sentence": str(error)}
    judgement, shares = judge(predictions), [share for each in found for share in (each.percent, *each.interval)]
    accuracies = dict(zip(names, shares, strict=True))
    return {"images": found[0].images, **accuracies, "verdict": judgement.word, "sentence": judgement.sentence}

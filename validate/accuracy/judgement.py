"""Verdict on a measured accuracy: whether it is what was published of these weights, by source and as a whole."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any

from effconvert.preprocessing.recipes import Recipe, recipe_for
from effconvert.reference_tables.accuracy import Accuracy, accuracy_table
from effconvert.shown import Row, Shown
from effconvert.validate.accuracy.comparability import obstacle, remarks, training
from effconvert.validate.accuracy.decimals import places
from effconvert.validate.accuracy.statistics import Proportion
from effconvert.validate.accuracy.summary import measured_accuracy
from effconvert.validate.evaluation.jobs import EXACT
from effconvert.validate.predictions import Predictions

SAME, NEAR, AWAY, NOT_JUDGED = "same", "near", "away", "not judged"
COLOURS = {SAME: "green", NEAR: "amber", AWAY: "red", NOT_JUDGED: ""}
IMAGENET_IMAGES = 50_000

# In percentage points, as exact fractions: binary rounding must not decide at the edge. With the source's own
# preprocessing only rounding can differ; another preprocessing changes an accuracy by some tenths.
OWN_LIMIT, GREEN_LIMIT, AMBER_LIMIT = Fraction("0.05"), Fraction("0.15"), Fraction("0.40")


@dataclass(frozen=True)
class Judged:
    """One accuracy, measured and published, in percent.

    difference: measured minus published, in points. limit: the largest difference for this word; None if not judged.
    """

    word: str
    measured: float
    published: float
    difference: float
    limit: float | None


@dataclass(frozen=True)
class SourceVerdict:
    """The verdict of one published accuracy on the measured one.

    own: the run has the source's own preprocessing. top5: None where none was published. decides: this row counts for
    the whole verdict; reason: why it does not.
    """

    published: Accuracy
    own: bool
    top1: Judged
    top5: Judged | None
    decides: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        said = asdict(self.published)
        return {
            "kind": said["kind"],
            "source": said["source"],
            "note": said["note"],
            "size": said["size"],
            "own_preprocessing": self.own,
            "top1": _plain(self.top1),
            "top5": _plain(self.top5) if self.top5 else None,
            "decides": self.decides,
            "reason": self.reason,
        }


@dataclass(frozen=True, repr=False)
class Judgement(Shown):
    """The whole verdict.

    word: `same`, `near`, `away`, or `not judged`. sentence: why. rows: every published accuracy of the same variant and
    weights. remarks: what a reader should also know about the run.
    """

    word: str
    sentence: str
    rows: tuple[SourceVerdict, ...]
    remarks: tuple[str, ...]

    @property
    def colour(self) -> str:
        """`green`, `amber`, `red`, or "" where nothing was judged."""
        return COLOURS[self.word]

    @property
    def line(self) -> str:
        """The verdict in one line."""
        return self.sentence

    def to_rows(self) -> list[Row]:
        """Return a row for each published accuracy; accuracies in percent, differences in points."""
        return [
            {
                "published_by": row.published.kind,
                "size": row.published.size,
                "measured": row.top1.measured,
                "published": row.top1.published,
                "difference": row.top1.difference,
                "allowed": row.top1.limit,
                "verdict": row.top1.word,
                "own_preprocessing": row.own,
                "decides": row.decides,
                "source": row.published.source,
            }
            for row in self.rows
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as plain values, for JSON."""
        return {
            "verdict": self.word,
            "colour": self.colour,
            "sentence": self.sentence,
            "sources": [row.to_dict() for row in self.rows],
            "remarks": list(self.remarks),
        }


def judge(predictions: Predictions) -> Judgement:
    """Compare the accuracy of a run with every published value of its variant and weights, and return the verdict.

    Top-1 decides. With a source's own preprocessing the limit is ±0.05 points; with another one it is ±0.15 for `same`
    and ±0.40 for `near`. For a sample of the images, half the width of its interval is added to each limit. Where one
    source's own preprocessing was used, the others do not decide: their preprocessing explains the difference.

    Raises LayoutMismatch for an invalid recipe, DatasetProblem when no image has a label.

    Example: `effconvert.validate.judge(run.predictions).word`
    """
    model = predictions.record["model"]
    top1, top5 = (measured_accuracy(predictions, count) for count in (1, 5))
    against = obstacle(predictions)
    name = training(model)
    published = [row for row in accuracy_table() if (row.variant, row.weights) == (model["variant"], name)]
    recipe = Recipe.from_dict(predictions.record["recipe"])
    exact = predictions.record["computing"].get("pipeline", EXACT) == EXACT
    rows = _only_own_decide([_judge_source(row, recipe, exact, top1, top5, against) for row in published])
    notes = (*remarks(predictions.record), *(() if against else _about_samples(top1)))
    return Judgement(*_overall(rows, against, f"{model['variant']} {name}", top1.images), tuple(rows), notes)


def difference_allowed(own: bool, measured: Proportion) -> tuple[Fraction, Fraction]:
    """Return the limits of `same` and of `near` in points; they are equal for a source's own preprocessing."""
    widened = Fraction(_sampling_error(measured))
    green, amber = (OWN_LIMIT, OWN_LIMIT) if own else (GREEN_LIMIT, AMBER_LIMIT)
    return green + widened, amber + widened


def _sampling_error(measured: Proportion) -> float:
    """Return half the width of the interval, in points, for a sample of the images of the published figure.

    The sample is drawn from only 50,000 images, so Wilson's interval is multiplied by the finite population
    correction, sqrt((N - n) / (N - 1)). Source: W. G. Cochran, Sampling Techniques (1977), 2.6.
    """
    low, high = measured.interval
    left_out = max(0, IMAGENET_IMAGES - measured.images) / (IMAGENET_IMAGES - 1)
    return (high - low) / 2 * math.sqrt(left_out)


def judge_value(measured: Proportion, published: float, own: bool) -> Judged:
    """Judge one measured accuracy; `published` is in percent and taken as printed."""
    difference = Fraction(100 * measured.hits, measured.images) - Fraction(str(published))
    green, amber = difference_allowed(own, measured)
    word, limit = (
        (SAME, green) if abs(difference) <= green else (NEAR, amber) if abs(difference) <= amber else (AWAY, amber)
    )
    return Judged(word, measured.percent, published, float(difference), float(limit))


def _judge_source(
    row: Accuracy, recipe: Recipe, exact: bool, top1: Proportion, top5: Proportion, against: str
) -> SourceVerdict:
    own = _is_own(recipe, exact, row)
    reason = against or _not_by_this(row, recipe)
    judged1 = judge_value(top1, row.top1, own)
    judged5 = judge_value(top5, row.top5, own) if row.top5 is not None else None
    if reason:
        judged1 = _unjudged(judged1)
    if judged5 and (reason or row.decides != "yes"):
        judged5 = _unjudged(judged5)
    return SourceVerdict(row, own, judged1, judged5, not reason, reason)


def _is_own(recipe: Recipe, exact: bool, row: Accuracy) -> bool:
    own = recipe_for(row.layout, row.variant, row.weights)
    return exact and replace(recipe, name=own.name) == own


def _not_by_this(row: Accuracy, recipe: Recipe) -> str:
    """Return why a source cannot judge the run, "" where it can."""
    if row.decides == "no":
        return f"the source does not decide: {row.note}"
    if row.size != recipe.size:
        return f"published at {row.size} pixels; this run is at {recipe.size}"
    return ""


def _unjudged(judged: Judged) -> Judged:
    return replace(judged, word=NOT_JUDGED, limit=None)


def _only_own_decide(rows: Sequence[SourceVerdict]) -> list[SourceVerdict]:
    own = [row.published.layout for row in rows if row.decides and row.own]
    if not own:
        return list(rows)
    reason = f"the run has the preprocessing of {own[0]}, so its figure decides"
    return [replace(row, decides=False, reason=reason) if row.decides and not row.own else row for row in rows]


def _overall(rows: Sequence[SourceVerdict], against: str, name: str, images: int) -> tuple[str, str]:
    """Return the word and the sentence of the whole verdict, taken from the source with the largest difference.

    images: the number of images that were measured.
    """
    if against:
        return NOT_JUDGED, f"{NOT_JUDGED}: {against}"
    if not rows:
        return NOT_JUDGED, f"{NOT_JUDGED}: no accuracy is published for {name}"
    deciding = [row for row in rows if row.decides]
    if not deciding:
        return NOT_JUDGED, f"{NOT_JUDGED}: {'; '.join(dict.fromkeys(row.reason for row in rows))}"
    words = (SAME, NEAR, AWAY)
    worst = max(deciding, key=lambda row: (words.index(row.top1.word), abs(row.top1.difference)))
    return worst.top1.word, _sentence(worst, images)


def _sentence(row: SourceVerdict, images: int) -> str:
    found, digits = row.top1, places(images)
    preprocessing = "its own preprocessing" if row.own else "another preprocessing"
    return (
        f"{found.word}: top-1 is {found.measured:.{digits}f} %, {row.published.kind} has {found.published:g} % "
        f"({preprocessing}): {found.difference:+.{digits}f} points, allowed {found.limit:.{digits}f}"
    )


def _about_samples(measured: Proportion) -> Iterator[str]:
    if measured.images < IMAGENET_IMAGES:
        yield (
            f"{measured.images:,} of {IMAGENET_IMAGES:,} images: the limits are wider by "
            f"{_sampling_error(measured):.3f} points, half the confidence interval of such a sample"
        )


def _plain(judged: Judged) -> Mapping[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in asdict(judged).items()}

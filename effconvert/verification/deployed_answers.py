"""Answers of a quantised file: no tolerance fits its numbers, so it is judged by the classes that it finds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effconvert.verification.comparison import relative_difference
from effconvert.verification.inputs import Inputs
from effconvert.verification.runs import Run
from effconvert.verification.verdict import NOT_VERIFIABLE

SAME_ANSWERS, OTHER_ANSWERS = "same answers", "other answers"
FEWEST_IMAGES = 8  # of fewer, equal answers tell nothing


@dataclass(frozen=True)
class Answers:
    """The answers of a quantised file beside those of its float network, for the same images.

    images: their number. photographs: whether they are a user's, and not synthetic. agree: how many have the same most
    likely class. margins: of each image with another answer, how far the float network's two classes are apart, as a
    share of its largest logit. difference: of the logits, relative to the largest. correlation: of the logits.
    layers: {layer: correlation of its outputs}.
    """

    images: int
    photographs: bool
    agree: int
    margins: tuple[float, ...]
    difference: float
    correlation: float
    layers: Mapping[str, float]

    @property
    def word(self) -> str:
        """The verdict on the answers; few answers to synthetic images are none."""
        if self.agree == self.images and not (self.photographs and self.images >= FEWEST_IMAGES):
            return NOT_VERIFIABLE
        return SAME_ANSWERS if self.agree == self.images else OTHER_ANSWERS


def compare_answers(reference: Run, found: Run, inputs: Inputs) -> Answers:
    """Return the answers of the run `found` beside those of `reference`, the float network's, for the same images."""
    expected, answers = reference.outputs, found.outputs
    given = found.layer("logits") if "logits" in found.layers else answers
    expected = expected[:, expected.shape[1] - answers.shape[1] :]
    best = expected.argmax(1)
    # In few steps several classes may be the most likely: then the float network's counts, if it is one of them.
    tied = np.take_along_axis(answers, best[:, None], 1)[:, 0] == answers.max(1)
    other = np.where(tied, best, answers.argmax(1))
    rows = np.flatnonzero(best != other)
    scale = float(np.abs(expected).max()) or 1.0
    margins = tuple(float(expected[row, best[row]] - expected[row, other[row]]) / scale for row in rows)
    layers = {
        name: _correlation(reference.layer(name), found.layer(name))
        for name in reference.layers
        if name in found.layers and reference.layer(name).shape == found.layer(name).shape
    }
    return Answers(
        images=len(best),
        photographs=inputs.words["kind"] == "images",
        agree=int((best == other).sum()),
        margins=margins,
        difference=relative_difference(given, expected),
        correlation=_correlation(expected, given),
        layers=layers,
    )


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    first, second = (np.asarray(array, np.float64).reshape(-1) for array in (one, other))
    if not first.std() or not second.std():
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])

"""Validation of a network against published numbers: data sets, accuracy, cost."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from effconvert.validate.accuracy.judgement import Judgement, judge
    from effconvert.validate.accuracy.summary import Summary, summarise
    from effconvert.validate.evaluation.jobs import EvaluationRun
    from effconvert.validate.measurement import measure_accuracy
    from effconvert.validate.predictions import Predictions, read_predictions

__all__ = [
    "EvaluationRun",
    "Judgement",
    "Predictions",
    "Summary",
    "judge",
    "measure_accuracy",
    "read_predictions",
    "summarise",
]

_HOMES = {
    "EvaluationRun": "effconvert.validate.evaluation.jobs",
    "Judgement": "effconvert.validate.accuracy.judgement",
    "Predictions": "effconvert.validate.predictions",
    "Summary": "effconvert.validate.accuracy.summary",
    "judge": "effconvert.validate.accuracy.judgement",
    "measure_accuracy": "effconvert.validate.measurement",
    "read_predictions": "effconvert.validate.predictions",
    "summarise": "effconvert.validate.accuracy.summary",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'effconvert.validate' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, also those that were not used yet."""
    return sorted(__all__)

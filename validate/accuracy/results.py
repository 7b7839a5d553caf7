"""Result of one evaluation run: accuracy, verdict, cost."""

from dataclasses import dataclass
from typing import Any

from effconvert.architecture.facts import complete
from effconvert.architecture.variants import VARIANTS
from effconvert.validate.accuracy.judgement import AWAY, Judgement, judge
from effconvert.validate.accuracy.summary import Summary, summarise
from effconvert.validate.cost_report import CostReport, report_cost
from effconvert.validate.evaluation.jobs import EvaluationRun


@dataclass(frozen=True)
class Result:
    """A finished run with its accuracy, verdict and cost."""

    measured: EvaluationRun
    summary: Summary
    judgement: Judgement
    cost: CostReport

    @property
    def failed(self) -> bool:
        """Whether accuracy, parameters or operations are not what was published."""
        return self.judgement.word == AWAY or bool(self.cost.failures)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "out": str(self.measured.out),
            "record": self.measured.predictions.record,
            "accuracy": self.summary.to_dict(),
            "verdict": self.judgement.to_dict(),
            "cost": self.cost.to_dict(),
        }


def result_of(measured: EvaluationRun) -> Result:
    """Return the result of a finished run. Raises DatasetProblem when no image has a label."""
    predictions = measured.predictions
    model = predictions.record["model"]
    facts, size = complete(model["facts"]), predictions.record["recipe"]["size"]
    return Result(
        measured, summarise(predictions), judge(predictions), report_cost(VARIANTS[model["variant"]], facts, size)
    )

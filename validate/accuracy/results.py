"""What a run comes to: accuracies, the verdict on them, and the cost of the network with its verdict."""

from dataclasses import dataclass
from typing import Any

from effconvert.architecture.facts import complete
from effconvert.architecture.variants import VARIANTS
from effconvert.validate.accuracy.judgement import AWAY, Judgement, judge
from effconvert.validate.accuracy.summary import Summary, summarise
from effconvert.validate.cost_report import CostReport, report_cost
from effconvert.validate.evaluation.jobs import Measured


@dataclass(frozen=True)
class Result:
    """A finished run with all that is said of it."""

    measured: Measured
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


def result_of(measured: Measured) -> Result:
    """Return what the run comes to. Raises DatasetProblem when no image has a label."""
    predictions = measured.predictions
    model = predictions.record["model"]
    facts, size = complete(model["facts"]), predictions.record["recipe"]["size"]
    return Result(
        measured, summarise(predictions), judge(predictions), report_cost(VARIANTS[model["variant"]], facts, size)
    )

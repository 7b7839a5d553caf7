"""One network of a report: one converted file, or one run of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from effconvert.report.contents.accuracy import Accuracy, Dataset, Recipe
from effconvert.report.contents.cost import Cost, Throughput
from effconvert.report.contents.rules import ID, Count, FactTable, Hashes, Plain, Rule
from effconvert.report.contents.verification import Verification

CheckName = Literal["coverage", "tensors", "layers", "logits", "accuracy", "parameters", "operations"]
CheckVerdict = Literal["passed", "near", "failed", "not judged", "not measured"]
Overall = Literal["passed", "near", "failed", "incomplete"]


@dataclass(frozen=True)
class Model:
    """The file of weights."""

    file: Annotated[str, Rule("its path, as given to the run")]
    sha256: Hashes
    layout: Annotated[str, Rule("the naming scheme of its tensors")]
    taken: Annotated[str, Rule("the set of its weights: averages, raw, or weights if it has only one")]
    facts: FactTable
    assumed: Annotated[tuple[str, ...], Rule("facts that no file records")]
    classes: Annotated[int, Rule("outputs of the classifier; 0 without one", minimum=0)]
    parameters: Annotated[int, Rule("trainable values", minimum=0)]
    dtype: Annotated[str | None, Rule("the coarsest dtype of its tensors; null if unknown")]


@dataclass(frozen=True)
class Check:
    """One check, with its measurement and its limit."""

    check: CheckName
    verdict: CheckVerdict
    measured: Annotated[str, Rule('ready to print; "" without a value')]
    allowed: Annotated[str, Rule('ready to print; "" without a value')]
    reason: Annotated[str, Rule('why the verdict is not `passed`, or what weakens it; otherwise ""')]


@dataclass(frozen=True)
class Conversion:
    """The origin of the weights, from the file's own record."""

    source_sha256: Hashes
    url: Annotated[str | None, Rule("address of the source")]
    layout: Annotated[str, Rule("of the source")]
    taken: Annotated[str, Rule("the set of the source's weights")]
    map_sha256: Annotated[str | None, Rule("of the mapping file")]
    options: Annotated[Mapping[str, Plain], Rule("options of the conversion")]
    moved: Annotated[int | None, Rule("numbers of tensors; null if the file is older than this record", minimum=0)]
    left_behind: Annotated[Mapping[str, Count] | None, Rule("{reason: tensors}")]


@dataclass(frozen=True)
class Provenance:
    """When and with which tools a network was measured or verified."""

    run_file: Annotated[str | None, Rule("the predictions")]
    finished: Annotated[str | None, Rule("date and time of the end of the run")]
    versions: Mapping[str, str]
    device: str | None
    computing: Mapping[str, Plain] | None


@dataclass(frozen=True)
class Beside:
    """A measured accuracy beside the published one that it is judged by, or else the first one of its weights."""

    measured: Annotated[float | None, Rule("percent", minimum=0, maximum=100)]
    published: Annotated[float | None, Rule("percent; null if none is known")]
    publisher: Annotated[str, Rule('whose value; "" without one')]
    difference: Annotated[float | None, Rule("measured minus published, points; null if they cannot be compared")]


@dataclass(frozen=True)
class Nearest:
    """The first layer that differs; without one, that whose difference is the largest share of its tolerance."""

    layer: str
    relative: Annotated[float | None, Rule("its largest difference, as a share of its largest value; null: not finite")]
    allowed: float


@dataclass(frozen=True)
class Summary:
    """What the first table of the report shows of a network, beside its cost."""

    verdict: Annotated[Overall, Rule("incomplete: some checks were not judged or not measured, and none failed")]
    words: Annotated[str, Rule("passed 6 of 7; accuracy not judged")]
    passed: Annotated[int, Rule("checks that passed, also under weaker conditions", minimum=0)]
    top1: Beside | None
    top5: Beside | None
    worst_layer: Nearest | None


@dataclass(frozen=True)
class Network:
    """One converted file, or one run of it."""

    id: Annotated[str, Rule("unique in the document; safe in file names and HTML", pattern=ID)]
    name: Annotated[str, Rule("for display; from a file")]
    sentence: Annotated[str, Rule("the network and its results, in one sentence")]
    variant: Annotated[str, Rule("b0 to b8, l2, cc-…, edgetpu-…, lite…")]
    weights: Annotated[str | None, Rule("the training: aa, ns, …; null if unknown")]
    summary: Summary
    model: Model
    verdicts: Annotated[
        tuple[Check, ...],
        Rule(
            "one for each check, in this order: coverage, tensors, layers, logits, accuracy, parameters, operations",
            fewest_items=7,
            most_items=7,
        ),
    ]
    conversion: Conversion | None
    verifications: Annotated[
        tuple[Verification, ...],
        Rule("of this file, found by its hash; each is repeated with every run of the file, under the same id"),
    ]
    accuracy: Accuracy | None
    recipe: Recipe | None
    dataset: Dataset | None
    cost: Cost | None
    throughput: Throughput | None
    cautions: Annotated[tuple[str, ...], Rule("warnings: sentences on weakened checks, and on what a reader must know")]
    provenance: Provenance

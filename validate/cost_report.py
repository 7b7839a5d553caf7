"""Cost report of one network: parameters and operations beside every published figure, each with its verdict."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from effconvert.architecture.canonical import default_facts, is_trainable
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant, find_variant
from effconvert.costs.conventions import CONVENTIONS
from effconvert.costs.quantities import buffer_count, compute_quantities, parameter_count
from effconvert.errors import PublishedMismatch, UnknownName, listing
from effconvert.formats import open_checkpoint
from effconvert.reference_tables.cost import (
    KERAS,
    OPERATIONS,
    PARAMETERS,
    TRAINABLE,
    WITH_STATISTICS,
    Cost,
    cost_table,
    note_on,
)
from effconvert.shown import Row, Shown

_KERAS_NORMALIZATION = 7  # its layer has mean and variance of three channels, and a counter
_COUNTED = {
    TRAINABLE: "",
    WITH_STATISTICS: ", with BatchNorm's statistics",
    KERAS: f", with BatchNorm's statistics and the {_KERAS_NORMALIZATION} values that Keras normalises with",
}


@dataclass(frozen=True)
class Comparison:
    """One published figure beside ours, counted by the same convention.

    row: with the note on this quantity alone. quantity: "parameters" or "operations". step: the unit to which the
    published number was rounded.
    """

    row: Cost
    quantity: str
    ours: int
    published: int
    step: int

    @property
    def difference(self) -> int:
        """Published minus ours."""
        return self.published - self.ours

    @property
    def equal(self) -> bool:
        """Whether ours, rounded in the same way, equals the published figure."""
        return 2 * abs(self.difference) <= self.step if self.step > 1 else self.difference == 0

    @property
    def failed(self) -> bool:
        """Whether the figure differs and its source counts as evidence."""
        return not self.equal and self.row.decides_on(self.quantity)

    @property
    def misplaced(self) -> bool:
        """Whether the figure belongs to another image size than its source says."""
        return self.quantity == OPERATIONS and self.row.counted_size != self.row.size

    @property
    def convention(self) -> str:
        """How the figure is counted."""
        return self.row.convention if self.quantity == OPERATIONS else self.row.counted_parameters

    @property
    def verdict(self) -> str:
        """Whether the figure equals ours, in words, with the known reason of a difference."""
        if not self.equal:
            known = "" if self.row.decides_on(self.quantity) else f", {self.row.note}"
            return f"differs by {self.difference:+,} ({self.difference / self.ours:+.1%}){known}"
        words = "equal to the last digit" if self.step == 1 else "equal after rounding"
        words += _COUNTED[self.row.counted_parameters] if self.quantity == PARAMETERS else ""
        if not self.misplaced:
            return words
        return f"{words} at {self.row.counted_size} px and not at {self.row.size}: {self.row.note}"


@dataclass(frozen=True, repr=False)
class CostReport(Shown):
    """The cost of one network.

    size: height and width in pixels. parameters: trainable values; statistics: BatchNorm's values that are not trained.
    operations: {convention: figure for one image}, for conventions whose tool has the network. comparisons: with every
    published figure of the variant, each at its own size and classes. path: the file in which values were counted.
    """

    variant: str
    facts: Facts
    size: int
    parameters: int
    statistics: int
    operations: Mapping[str, int]
    comparisons: tuple[Comparison, ...]
    path: Path | None = None

    @property
    def failures(self) -> tuple[Comparison, ...]:
        """The failed comparisons."""
        return tuple(comparison for comparison in self.comparisons if comparison.failed)

    @property
    def line(self) -> str:
        """Parameters, multiply-adds and the number of equal published figures, in one line."""
        equal = sum(comparison.equal for comparison in self.comparisons)
        file = f" in {self.path}" if self.path else ""
        counts = f"{self.parameters:,} parameters, {self.operations['multiply-adds']:,} multiply-adds at {self.size} px"
        return f"{self.variant}{file}: {counts}; {equal} of {len(self.comparisons)} published figures are equal"

    def to_rows(self) -> list[Row]:
        """Return a row for each published figure, with ours by the same convention."""
        return [
            {
                "variant": self.variant,
                "published_by": each.row.kind,
                "size": each.row.size,
                "quantity": each.quantity,
                "convention": each.convention,
                "published": each.published,
                "ours": each.ours,
                "difference": each.difference,
                "equal": each.equal,
                "verdict": each.verdict,
                "source": each.row.source,
            }
            for each in self.comparisons
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return {
            **vars(self),
            "path": str(self.path) if self.path else None,
            "facts": self.facts.to_dict(),
            "operations": dict(self.operations),
            "comparisons": [
                asdict(comparison)
                | {
                    name: getattr(comparison, name)
                    for name in ("difference", "equal", "failed", "misplaced", "verdict")
                }
                for comparison in self.comparisons
            ],
        }


def report_cost(variant: Variant, facts: Facts | None = None, size: int | None = None) -> CostReport:
    """Return the cost of a network, by default the official one at its official resolution.

    Raises ValueError for an image without pixels.
    """
    facts = facts or default_facts(variant)
    size = variant.resolution if size is None else size
    return CostReport(
        variant=variant.name,
        facts=facts,
        size=size,
        parameters=parameter_count(variant, facts),
        statistics=buffer_count(variant, facts),
        operations={name: operation_count(name, variant, facts, size) for name in covering(variant)},
        comparisons=tuple(comparison for row in cost_table() for comparison in _comparisons(variant, row)),
    )


def file_cost(path: Path, key: bytes | None = None, size: int | None = None) -> CostReport:
    """Return the cost of the network in a file of any layout; parameters are counted in the file itself.

    size: None takes the size of the weights' preprocessing. Raises MissingPath, UnreadableCheckpoint, LayoutMismatch
    where the tensors are not one network, ValueError for an image without pixels.
    """
    from effconvert.verification.network_files import examine

    file = examine(path, key=key)
    with open_checkpoint(path, key) as checkpoint:
        held = {move.target: prod(checkpoint.tensors[move.source].shape) for move in file.coverage.moves}
    trainable = sum(count for name, count in held.items() if is_trainable(name))
    report = report_cost(file.identity.variant, file.facts, size or file.recipe.size)
    statistics = sum(held.values()) - trainable
    comparisons = tuple(
        replace(comparison, ours=_counted(comparison.convention, trainable, statistics))
        if _is_of(comparison, file.facts)
        else comparison
        for comparison in report.comparisons
    )
    return replace(report, parameters=trainable, statistics=statistics, comparisons=comparisons, path=path)


def variant_meant(file: str | Path) -> Variant | None:
    """Return the variant that is given in place of a file: its name, if there is no such file; else None."""
    if Path(file).exists():
        return None
    try:
        return find_variant(str(file))
    except UnknownName:
        return None


def operation_count(convention: str, variant: Variant, facts: Facts, size: int) -> int:
    """Return the operations by `convention` for one image of `size` pixels. Raises ValueError for a size below 1."""
    chosen = CONVENTIONS[convention]
    return chosen.count(compute_quantities(variant, facts, *chosen.image(size)))


def covering(variant: Variant) -> tuple[str, ...]:
    """Return the names of the conventions whose tool has `variant`."""
    return tuple(name for name, convention in CONVENTIONS.items() if convention.covers(variant.name))


def check_published(reports: Iterable[CostReport]) -> None:
    """Raise PublishedMismatch with every published figure that counts as evidence and differs from ours."""
    problems = [
        f"{report.variant} at {comparison.row.size} px: {comparison.quantity} are {comparison.ours:,}; "
        f"{comparison.row.source} has {comparison.published:,}"
        for report in reports
        for comparison in report.failures
    ]
    if problems:
        raise PublishedMismatch(listing("these numbers differ from the published ones:", problems))


def _is_of(comparison: Comparison, facts: Facts) -> bool:
    """Return whether the published figure is the number of parameters of a network with these facts."""
    same = comparison.row.classes == facts.classes and facts.in_channels == 3
    return comparison.quantity == PARAMETERS and facts.head_conv and same


def _counted(convention: str, trainable: int, statistics: int) -> int:
    """Return the parameters as a publisher counts them."""
    return trainable + {TRAINABLE: 0, WITH_STATISTICS: statistics, KERAS: statistics + _KERAS_NORMALIZATION}[convention]


def _comparisons(variant: Variant, row: Cost) -> list[Comparison]:
    if row.variant != variant.name:
        return []
    facts = replace(default_facts(variant), classes=row.classes)
    of_parameters, of_operations = (replace(row, note=note_on(row, name)) for name in (PARAMETERS, OPERATIONS))
    found = []
    if row.parameters is not None:
        ours = _counted(row.counted_parameters, parameter_count(variant, facts), buffer_count(variant, facts))
        found.append(Comparison(of_parameters, PARAMETERS, ours, row.parameters, row.parameters_step))
    if row.operations is not None:
        ours = operation_count(row.convention, variant, facts, row.counted_size)
        found.append(Comparison(of_operations, OPERATIONS, ours, row.operations, row.operations_step))
    return found

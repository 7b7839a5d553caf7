"""The whole document of a report, `effconvert/report/1`."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from effconvert.report.contents.network import Network
from effconvert.report.contents.plain_values import to_plain
from effconvert.report.contents.published import Published
from effconvert.report.contents.rules import Count, Rule, Sha256

Matrix = tuple[tuple[Count, ...], ...]
Share = Annotated[float | None, Rule(minimum=0, maximum=1)]


@dataclass(frozen=True)
class Refused:
    """Two networks whose predictions cannot be compared."""

    first: str
    second: str
    reason: str


@dataclass(frozen=True)
class Agreement:
    """Matrices over networks, rows first; the diagonal compares a network with itself."""

    ids: tuple[str, ...]
    left_out: Annotated[int, Rule("networks with predictions that are left out: there are too many", minimum=0)]
    images: Annotated[
        Matrix, Rule("images with predictions of both, matched by name; 0 if their classes or images differ")
    ]
    same: Annotated[Matrix, Rule("with the same first class")]
    only_first: Annotated[Matrix, Rule("labelled images that only the row's network classified correctly")]
    only_second: Annotated[Matrix, Rule("labelled images that only the column's network classified correctly")]
    p: Annotated[
        tuple[tuple[Share, ...], ...],
        Rule("p-value of McNemar's exact two-sided test; null if there are no labels"),
    ]
    refused: Annotated[
        tuple[Refused, ...], Rule("pairs that are not compared although their images have the same names")
    ]
    by_name: Annotated[
        tuple[str, ...], Rule("networks whose runs have no hashes of their images, so these may be different images")
    ]
    uncompared: Annotated[tuple[str, ...], Rule("sentences on what was not compared, or only by names")]


@dataclass(frozen=True)
class Input:
    """An input file of the report."""

    path: str
    kind: Literal["run", "verification"]
    sha256: Sha256


@dataclass(frozen=True)
class Made:
    """The tool and the machine; everything else is the same for the same inputs."""

    effconvert: str
    python: str
    machine: str


@dataclass(frozen=True, repr=False)
class Report:
    """Comparison report of converted networks by effconvert.

    Strings may come from files and must not be trusted. null means not measured, not recorded or not finite.
    Accuracies are in percent, differences of accuracies in points.
    """

    schema: Literal["effconvert/report/1"]
    kind: Literal["runs", "published"]
    title: str
    sentence: str
    networks: Annotated[tuple[Network, ...], Rule("empty where kind is published")]
    agreement: Agreement | None
    published: Published
    inputs: Annotated[tuple[Input, ...], Rule("input files of the report")]
    run: Made

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        found: dict[str, Any] = to_plain(self)
        return found

    def __repr__(self) -> str:
        return f"<Report: {self.sentence}>"

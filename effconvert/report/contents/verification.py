"""Verification of a converted file against its source, layer by layer, with the causes of a difference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from effconvert.report.contents.rules import ID, Count, FactTable, Hashes, Pixels, Rule, Sha256

Verdict = Literal["same", "same within the given tolerance", "different", "not verifiable"]


@dataclass(frozen=True)
class Tolerance:
    """The largest relative difference of a layer that rounding can explain."""

    accumulated: Annotated[float, Rule("end to end: after the network's own earlier layers")]
    fed: Annotated[float, Rule("isolated: with the reference's input for each layer")]
    relaxed: Annotated[bool, Rule("whether a looser tolerance than that of the weights' dtype was set")]
    rounded: Annotated[str, Rule('the half precision to which the source\'s weights were rounded, or ""')]


@dataclass(frozen=True)
class Source:
    """The file that the converted one was compared with, and the framework that ran it."""

    path: str
    framework: Annotated[str, Rule("the framework with its version")]
    network: str
    loader: str
    layout: str
    variant: str
    taken: str
    dtype: str
    sha256: Hashes
    facts: FactTable
    assumed: Annotated[tuple[str, ...], Rule("facts that no file records")]


@dataclass(frozen=True)
class Images:
    """The input images."""

    kind: Literal["synthetic", "images"]
    count: Count
    size: Pixels
    sha256: Sha256


@dataclass(frozen=True)
class Layer:
    """The difference between one layer's outputs; null is a number that is not finite."""

    layer: str
    mode: Literal["accumulated", "fed"]
    largest: Annotated[float | None, Rule("max |Δ|, in the layer's own units")]
    mean: Annotated[float | None, Rule("mean |Δ|")]
    scale: Annotated[float | None, Rule("the layer's largest absolute value in the reference")]
    relative: Annotated[float | None, Rule("largest as a share of scale")]
    cosine: Annotated[float | None, Rule("similarity of both outputs as vectors")]
    allowed: Annotated[float, Rule("largest `relative` that passes")]
    passed: bool


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same images."""

    framework: Annotated[str, Rule("the framework that ran the converted file")]
    network: str
    loader: str
    same: bool
    first: Annotated[str | None, Rule("the first diverging layer")]
    top1_agreement: Annotated[float | None, Rule("share of images with the same first class")]
    top5_agreement: Annotated[float | None, Rule("share of images with the same five")]
    rows: Annotated[tuple[Layer, ...], Rule("in the order of the layers, for each measured mode")]


@dataclass(frozen=True)
class Cause:
    """A known cause of the difference, which `verify --explain` found by correcting it."""

    cause: str
    fix: Annotated[str, Rule("what a user has to do")]
    before: Annotated[float | None, Rule("the largest relative difference of any layer; null is not finite")]
    after: Annotated[float | None, Rule("the same with the cause corrected")]
    whole: Annotated[bool, Rule("whether it explains the whole difference")]


@dataclass(frozen=True)
class Verification:
    """Result of `effconvert verify`: the converted file against its source, which a real framework ran."""

    id: Annotated[str, Rule("unique among verifications", pattern=ID)]
    file: Annotated[str, Rule("the JSON file")]
    verdict: Verdict
    sentence: str
    sensitivity: Annotated[float | None, Rule("of the source's outputs to the image: 0 is none, 1 is the maximum")]
    tolerance: Tolerance
    source: Source
    inputs: Images
    comparisons: Annotated[
        tuple[Comparison, ...],
        Rule("of the source with each network that runs the converted file, the canonical one first"),
    ]
    unlike_tensors: Annotated[
        Mapping[str, float | None],
        Rule("{canonical tensor: largest difference, as a share of its largest value} of tensors with other values"),
    ]
    judgement: Annotated[str, Rule('which side is wrong, "" if none or unknown')]
    explained: Annotated[bool, Rule("whether the known causes of a difference were tried (--explain)")]
    causes: Annotated[tuple[Cause, ...], Rule("the causes that were found, or the best hint")]
    cautions: tuple[str, ...]

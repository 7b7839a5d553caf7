"""Accuracy of a network, measured and beside every published value, with its preprocessing and its images."""

from dataclasses import dataclass
from typing import Annotated, Literal

from effconvert.report.contents.rules import Count, Percent, Pixels, Rule

Word = Literal["same", "near", "away", "not judged"]
Channels = Literal["rgb", "bgr", "gray", "unknown"]
ForEachChannel = Annotated[tuple[float, ...], Rule("one for each channel", fewest_items=1)]


@dataclass(frozen=True)
class Proportion:
    """A share of the images."""

    hits: Count
    images: Count
    percent: Annotated[float | None, Rule("null without images", minimum=0, maximum=100)]
    interval: Annotated[tuple[Percent, Percent], Rule("Wilson's 95 % interval, in percent")]


@dataclass(frozen=True)
class Judged:
    """One accuracy, measured and published."""

    word: Word
    measured: Annotated[float, Rule("percent")]
    published: Annotated[float, Rule("percent")]
    difference: Annotated[float, Rule("measured minus published, points")]
    limit: Annotated[float | None, Rule("points; null if not judged")]


@dataclass(frozen=True)
class SourceVerdict:
    """One published accuracy of the same variant and weights."""

    source: str
    kind: Annotated[str, Rule("id of the source")]
    size: Pixels
    own_preprocessing: Annotated[bool, Rule("whether the run has the source's own preprocessing")]
    top1: Judged
    top5: Judged | None
    decides: Annotated[bool, Rule("whether it counts for the whole verdict")]
    reason: Annotated[str, Rule("why it does not count")]
    note: str


@dataclass(frozen=True)
class Group:
    """The accuracy on a group of classes."""

    name: str
    classes: Count
    top1: Proportion
    top5: Proportion


@dataclass(frozen=True)
class Accuracy:
    """The accuracy over the images with a label."""

    images: Count
    unlabelled: Count
    top1: Proportion
    top5: Proportion
    calibration_error: Annotated[float | None, Rule("expected calibration error, a share; 15 bins")]
    mean_margin: Annotated[float | None, Rule("between the two largest logits")]
    groups: Annotated[tuple[Group, ...], Rule("of classes, the least accurate first")]
    verdict: Word
    colour: Literal["green", "amber", "red", ""]
    sentence: str
    sources: Annotated[
        tuple[SourceVerdict, ...], Rule("one for each published accuracy of the same variant and weights")
    ]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """Preprocessing of the images; reference/recipes.toml defines each step."""

    name: str
    decode: str
    crop: str
    crop_padding: Pixels
    size: Pixels
    resize: str
    mean: ForEachChannel
    std: ForEachChannel
    channels: Channels
    shorter_side: Annotated[int, Rule("pixels; 0 if the crop comes first", minimum=0)]


@dataclass(frozen=True)
class Dataset:
    """The images on which a network was measured."""

    path: str
    kind: str
    classes: Annotated[str, Rule("imagenet-1k, or the source of the class list")]
    images: Annotated[int, Rule("of the data set", minimum=0)]
    evaluated: Annotated[int, Rule("images with a prediction", minimum=0)]
    missing: Annotated[int, Rule("images of ImageNet that are not in the data set", minimum=0)]
    chosen: Annotated[str, Rule("all, limit or subset")]
    imagenet_validation: bool
    labels: Annotated[str, Rule("own, or the name of a file of labels")]
    findings: tuple[str, ...]
    fingerprint: str
    skipped: Annotated[int, Rule("images that could not be read", minimum=0)]

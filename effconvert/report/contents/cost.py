"""Cost of a network, counted and beside every published figure, and its speed on one machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from effconvert.report.contents.rules import Count, Pixels, Rule


@dataclass(frozen=True)
class CostComparison:
    """One published figure beside ours."""

    source: str
    kind: Annotated[str, Rule("id of the source")]
    quantity: Literal["parameters", "operations"]
    convention: Annotated[str, Rule('how it is counted, "" for trainable values')]
    size: Pixels
    counted_size: Annotated[int, Rule("pixels that the figure holds for", minimum=0)]
    ours: Count
    published: Count
    step: Annotated[int, Rule("the unit to which the published figure was rounded", minimum=0)]
    difference: Annotated[int, Rule("published minus ours")]
    equal: Annotated[bool, Rule("whether our figure, rounded in the same way, equals the published one")]
    failed: Annotated[bool, Rule("whether it differs and counts for the verdict")]
    verdict: str
    note: str


@dataclass(frozen=True)
class Cost:
    """What one image costs."""

    size: Pixels
    parameters: Annotated[int, Rule("trainable values", minimum=0)]
    statistics: Annotated[int, Rule("BatchNorm's values that are not trained", minimum=0)]
    operations: Annotated[Mapping[str, Count], Rule("{convention: of one image}")]
    comparisons: Annotated[
        tuple[CostComparison, ...], Rule("with every published figure of the variant, at its own size and classes")
    ]


@dataclass(frozen=True)
class Stages:
    """Seconds of each stage; they overlap."""

    reading: Annotated[float | None, Rule("summed over workers")]
    preparing: Annotated[float | None, Rule("summed over workers")]
    copying: Annotated[float | None, Rule("to the GPU")]
    waiting: Annotated[float | None, Rule("time that the network waited for images")]


@dataclass(frozen=True)
class Throughput:
    """The speed of a run on its machine."""

    images_per_second: Annotated[float | None, Rule("of the whole pipeline; null if there are too few images to time")]
    model_images_per_second: Annotated[float | None, Rule("of the network alone")]
    prepared_per_core_second: Annotated[float | None, Rule("images that one worker prepares")]
    seconds: Annotated[float | None, Rule("of the run")]
    stages: Stages
    workers: Annotated[int | None, Rule(minimum=0)]
    ranks: Annotated[int | None, Rule("number of processes that shared the images", minimum=0)]
    device: str | None
    device_name: str | None
    dtype: Annotated[str | None, Rule("of weights and feature maps")]
    pipeline: Annotated[str | None, Rule("exact or fast")]

"""Chart of top-1 and top-5 of every variant, as each framework published them and as measured here."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from effconvert.report.pictures.accuracy_panels import Point, draw_panels
from effconvert.report.pictures.publishers import (
    METRICS,
    Publishers,
    Series,
    is_shared,
    measured_networks,
    of_imagenet,
    published_accuracy,
    usual_rank,
    variant_order,
)
from effconvert.report.pictures.style import Drawing, listed
from effconvert.report.renderings.text import shortened

NAME, TITLE = "accuracy", "Accuracy by variant and framework"
HEADERS = (
    "variant", "metric", "kind", "framework", "source", "weights", "size", "percent", "low", "high", "decides", "drawn",
)  # fmt: skip
_SHOWN = 4  # measured networks of one variant


def draw(document: dict[str, Any]) -> Drawing | None:
    """Draw the published accuracies of each variant's usual training hollow, and the measured ones solid.

    A report of runs of which none is on ImageNet's images has no such picture: that of published numbers has it.
    """
    publishers = Publishers(document)
    published, measured = _published(document, publishers), _measured(document, publishers)
    shown = [*_usual(published), *_first(measured)]
    if not shown or (document["networks"] and not any(point.measured for point in shown)):
        return None
    order = variant_order(document, [point.variant for point in shown])
    shown.sort(key=lambda point: (order.index(point.variant), point.measured, point.series))
    drawn = set(shown)
    rows = tuple(point.row(point in drawn) for point in (*published, *measured))
    return Drawing(NAME, TITLE, _text(shown, measured), HEADERS, rows, draw_panels(shown))


def _published(document: dict[str, Any], publishers: Publishers) -> list[Point]:
    return [
        Point(
            variant=number["variant"],
            metric=number["quantity"],
            series=publishers.of(number),
            source=number["source"],
            weights=number["weights"],
            size=number["size"],
            percent=float(number["value"]),
            decides=bool(number["decides"]),
        )
        for number in published_accuracy(document)
    ]


def _measured(document: dict[str, Any], publishers: Publishers) -> list[Point]:
    return [
        Point(
            variant=network["variant"],
            metric=metric,
            series=publishers.of_network(network),
            source=network["name"],
            weights=network["weights"] or "",
            size=(network["recipe"] or {}).get("size"),
            percent=network["accuracy"][metric]["percent"],
            low=network["accuracy"][metric]["interval"][0],
            high=network["accuracy"][metric]["interval"][1],
            decides=of_imagenet(network),
            id=network["id"],
        )
        for network in measured_networks(document)
        for metric in METRICS
    ]


def _usual(points: Sequence[Point]) -> list[Point]:
    """Return the reliable figures of one training per variant, so that only the publishers differ.

    It is the training that most publishers have. For a publisher with only its own trainings, its first is drawn.
    """
    groups: dict[str, dict[Series, list[Point]]] = defaultdict(lambda: defaultdict(list))
    for point in points:
        groups[point.variant][point.series].append(point)
    shown: list[Point] = []
    for of_variant in groups.values():
        usual = _most_published(of_variant)
        for group in of_variant.values():
            wanted = usual if any(is_shared(point.weights) for point in group) else _best(group)
            chosen = [point for point in group if point.decides and point.weights == wanted]
            shown += {point.metric: point for point in reversed(chosen)}.values()
    return shown


def _most_published(of_variant: Mapping[Series, Sequence[Point]]) -> str:
    """Return the training with figures from most publishers, the most usual of several; "" if none is shared."""
    counts = Counter(
        weights
        for group in of_variant.values()
        for weights in {point.weights for point in group if point.decides and is_shared(point.weights)}
    )
    return min(counts, key=lambda weights: (-counts[weights], usual_rank(weights)), default="")


def _best(group: Sequence[Point]) -> str:
    """Return the first training of a publisher with only its own trainings."""
    return next((point.weights for point in group if point.decides), "")


def _first(points: Iterable[Point]) -> list[Point]:
    """Return the measured networks to show for each variant, the usual training first."""
    groups: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for point in points:
        if point.decides:
            groups[point.variant, point.metric].append(point)
    chosen = (sorted(group, key=lambda point: usual_rank(point.weights))[:_SHOWN] for group in groups.values())
    return [point for group in chosen for point in group]


def _text(shown: Sequence[Point], measured: Sequence[Point]) -> str:
    published = [point for point in shown if not point.measured and point.metric == "top1"]
    solid = [point for point in shown if point.measured and point.metric == "top1"]
    sentences = []
    if published:
        low, high = (choose(published, key=lambda point: point.percent) for choose in (min, max))
        labels = listed([shortened(label, 60) for label in dict.fromkeys(point.series.label for point in published)])
        sentences.append(
            f"ImageNet top-1 of each variant's usual training, as published by {labels}: from {low.percent:g} % "
            f"({shortened(low.variant, 60)}) to {high.percent:g} % ({shortened(high.variant, 60)}); superseded, "
            "quoted and doubtful numbers are only in the table."
        )
        if any(point.metric == "top5" for point in shown):
            sentences.append("Top-5 is below.")
    if solid:
        said = listed([f"{shortened(point.source, 60)} {point.percent:.3f} %" for point in solid[:4]])
        more = f", and {len(solid) - 4:,} more" if len(solid) > 4 else ""
        usual = {point.variant: point.weights for point in published if is_shared(point.weights)}
        unlike = sum(point.weights != usual.get(point.variant, point.weights) for point in solid)
        alone = f"; {unlike:,} of another training are in no panel of differences" if unlike else ""
        sentences.append(f"Measured here: {said}{more}{alone}.")
    few = sum(point.decides for point in measured) // len(METRICS) - len(solid)
    if few:
        sentences.append(f"At most {_SHOWN} networks of a variant are drawn; {few:,} more are only in the table.")
    if other := sum(not point.decides for point in measured) // len(METRICS):
        sentences.append(f"Not drawn, because not on ImageNet's validation images: {other:,} measured here.")
    return " ".join(sentences)

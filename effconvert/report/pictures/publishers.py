"""Published accuracies, publishers and the order of variants in a document, for several pictures."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from effconvert.reference_tables.publishers import read_publishers
from effconvert.report.naming import library_name

METRICS = {"top1": "Top-1", "top5": "Top-5"}
# The training of the paper's own table is first: most frameworks mean it by the variant's name.
_USUAL = ("aa", "base", "ra", "advprop", "ns")


@dataclass(frozen=True, order=True)
class Series:
    """All numbers of one framework or paper. number: decides its look."""

    number: int
    label: str


class Publishers:
    """The series of a document, in the order of its sources; a publisher with two libraries has a series for each."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        numbers = document["published"]["accuracy"]
        self._publisher: dict[str, str] = {
            source["id"]: source.get("publisher") or source["id"] for source in document["published"]["sources"]
        }
        self._layouts: dict[str, list[str]] = defaultdict(list)
        for number in numbers:
            layouts = self._layouts[self._publisher_of(number["source"])]
            if number["layout"] and number["layout"] not in layouts:
                layouts.append(number["layout"])
        self._series: dict[str, Series] = {}
        for number in sorted(numbers, key=lambda number: not number["decides"]):  # drawn numbers first
            self.of(number)

    def of(self, number: Mapping[str, Any]) -> Series:
        """Return the series of a published number."""
        publisher = self._publisher_of(number["source"])
        several = len(self._layouts[publisher]) > 1
        return self._named((number["layout"] or number["source"]) if several else "", publisher)

    def of_network(self, network: Mapping[str, Any]) -> Series:
        """Return the series of a measured network's publisher, as far as the layout shows it."""
        layout = (network["conversion"] or network["model"])["layout"]
        publishers = [name for name, layouts in self._layouts.items() if layout in layouts and name != "paper"]
        several = not publishers or len(self._layouts[publishers[0]]) > 1
        return self._named(layout if several else "", *publishers[:1])

    def _publisher_of(self, source: str) -> str:
        return self._publisher.get(source, source)

    def _named(self, layout: str, publisher: str = "") -> Series:
        """Return the series of a publisher, or of one of its libraries; a layout may have no publisher."""
        label = _label(publisher or layout)
        if layout and _label(layout) != label:
            label += f" ({_label(layout)})"
        return self._series.setdefault(layout or publisher, Series(len(self._series), label))


def _label(name: str) -> str:
    """Return the title of a publisher, or of a layout's library."""
    return read_publishers()[name].title if name in read_publishers() else library_name(name)


def published_accuracy(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return top-1 and top-5 on ImageNet's validation images, without quantised networks."""
    return [
        number
        for number in document["published"]["accuracy"]
        if (number["dataset"], number["precision"]) == ("imagenet", "float32")
        and number["quantity"] in METRICS
        and not isinstance(number["value"], str)
    ]


def measured_networks(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the networks with a measured accuracy."""
    return [
        network
        for network in document["networks"]
        if network["accuracy"] and network["accuracy"]["top1"]["percent"] is not None
    ]


def of_imagenet(network: Mapping[str, Any]) -> bool:
    """Return whether a measured accuracy is comparable with published ones: ImageNet's images and labels."""
    dataset = network["dataset"]
    if not dataset or not dataset["imagenet_validation"] or dataset["chosen"] == "subset":
        return False
    judged = network["accuracy"]["verdict"] != "not judged"  # a file of labels may contain ImageNet's own
    return bool(judged or dataset["labels"] == "own")


def variant_order(document: Mapping[str, Any], variants: Iterable[str]) -> list[str]:
    """Return `variants` once each, in the order of the document's table, unknown ones last."""
    known = [variant["name"] for variant in document["published"]["variants"]]
    place = {name: number for number, name in enumerate(known)}
    return sorted(dict.fromkeys(variants), key=lambda name: (place.get(name, len(known)), name))


def usual_rank(weights: str | None) -> int:
    """Return the rank of a training: 0 is the one that a variant's name alone means."""
    return _USUAL.index(weights) if weights in _USUAL else len(_USUAL)


def is_shared(weights: str | None) -> bool:
    """Return whether several libraries have this training under the same name."""
    return weights in _USUAL

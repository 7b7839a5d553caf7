"""CSV tables of a report for analysis: a file for each kind of item, a line for each item, units in the header."""

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from typing import Any

from effconvert.report.causes import cause_words
from effconvert.report.contents.accuracy import Judged, Proportion
from effconvert.report.contents.network import Beside, Network
from effconvert.report.contents.report import Report
from effconvert.report.contents.verification import Verification
from effconvert.report.renderings.text import csv_text

Rows = Iterator[dict[str, Any]]

_OF_SOURCES = ("id", "title", "publisher", "url", "revision", "date", "note")
_OF_NUMBERS = ("source", "date", "model", "variant", "weights", "quantity", "value", "step", "decides", "note")
_OF_FILES = (
    "framework", "variant", "weights", "network", "file", "url", "sha256", "bytes", "size", "classes", "released",
    "recipe", "note", "source",
)  # fmt: skip
_OF_LAYERS = ("layer", "mode", "largest", "mean", "scale", "relative", "cosine", "allowed", "passed")
_STAGES = ("reading", "preparing", "copying", "waiting")


def render_tables(document: Report) -> dict[str, str]:
    """Return {file name: CSV} for every table that is not empty.

    The column `network` has the network's id, which is the same in all tables.
    """
    found = {f"{name}.csv": list(rows(document)) for name, rows in _TABLES.items()}
    return {name: csv_text(rows[0], (row.values() for row in rows)) for name, rows in found.items() if rows}


def _networks(document: Report) -> Rows:
    for network in document.networks:
        model, source, accuracy, cost = network.model, network.conversion, network.accuracy, network.cost
        yield {
            **_of(network),
            "name": network.name,
            "file": model.file,
            "layout": model.layout,
            "set_of_weights": model.taken,
            "dtype": model.dtype,
            "classes": model.classes,
            "parameters": model.parameters,
            "statistics": cost.statistics if cost else None,
            "multiply_adds": cost.operations.get("multiply-adds") if cost else None,
            "size_pixels": cost.size if cost else None,
            "images": accuracy.images if accuracy else None,
            **_proportion("top1", accuracy.top1 if accuracy else None),
            **_beside("top1", network.summary.top1),
            **_proportion("top5", accuracy.top5 if accuracy else None),
            **_beside("top5", network.summary.top5),
            "calibration_error": accuracy.calibration_error if accuracy else None,
            "mean_margin_of_logits": accuracy.mean_margin if accuracy else None,
            "verdict": network.summary.verdict,
            "verdict_in_words": network.summary.words,
            **{f"{row.check}_verdict": row.verdict for row in network.verdicts},
            "converted_from": source.layout if source else None,
            "url": source.url if source else None,
            "map_sha256": source.map_sha256 if source else None,
            "file_sha256": " ".join(model.sha256.values()),
            "run": network.provenance.run_file,
            "finished": network.provenance.finished,
            "sentence": network.sentence,
        }


def _verdicts(document: Report) -> Rows:
    for network in document.networks:
        for row in network.verdicts:
            yield {
                **_of(network),
                **_picked(row, ("check", "verdict", "measured", "allowed", "reason")),
            }


def _accuracy(document: Report) -> Rows:
    for network in document.networks:
        measured = network.accuracy
        if not measured:
            continue
        for source in measured.sources:
            yield {
                **_of(network),
                "source": source.kind,
                "title": source.source,
                "size_pixels": source.size,
                "own_preprocessing": source.own_preprocessing,
                "decides": source.decides,
                "images": measured.images,
                **_judged("top1", source.top1, measured.top1),
                **_judged("top5", source.top5, measured.top5),
                "reason": source.reason,
                "note": source.note,
            }


def _groups(document: Report) -> Rows:
    for network in document.networks:
        for group in network.accuracy.groups if network.accuracy else ():
            shares = _proportion("top1", group.top1) | _proportion("top5", group.top5)
            images = {"classes": group.classes, "images": group.top1.images}
            yield {**_of(network), "group": group.name, **images, **shares}


def _cost(document: Report) -> Rows:
    keys = ("quantity", "convention", "ours", "published", "step", "difference", "equal", "failed", "verdict", "note")
    for network in document.networks:
        for row in network.cost.comparisons if network.cost else ():
            sizes = {"size_pixels": row.size, "counted_size_pixels": row.counted_size}
            source = {"source": row.kind, "title": row.source}
            yield {**_of(network), **source, **sizes, **_picked(row, keys)}


def _operations(document: Report) -> Rows:
    for network in document.networks:
        cost = network.cost
        if not cost:
            continue
        for convention, operations in cost.operations.items():
            counted = {"convention": convention, "operations": operations}
            yield {**_of(network), "size_pixels": cost.size, **counted}


def _verifications(document: Report) -> Rows:
    keys = ("framework", "network", "loader", "same", "first", "top1_agreement", "top5_agreement")
    names = {"network": "built", "first": "first_layer_that_differs"}
    for network, found in _verified(document):
        for pair in found.comparisons:
            yield {
                **_of(network),
                "verification": found.id,
                "file": found.file,
                "verdict": found.verdict,
                "source_framework": found.source.framework,
                **{names.get(key, key): getattr(pair, key) for key in keys},
                "sensitivity": found.sensitivity,
                "cause": "; ".join(map(cause_words, found.causes)),
                "fix": "; ".join(each.fix for each in found.causes),
                "sentence": found.sentence,
            }


def _layers(document: Report) -> Rows:
    for network, found in _verified(document):
        for pair in found.comparisons:
            for row in pair.rows:
                which = {"verification": found.id, "framework": pair.framework}
                yield {"network": network.id, **which, **_picked(row, _OF_LAYERS)}


def _coverage(document: Report) -> Rows:
    for network in document.networks:
        source = network.conversion
        if source and source.moved is not None:
            yield {**_of(network), "tensors": source.moved, "what": "moved", "reason": ""}
        for reason, number in ((source and source.left_behind) or {}).items():
            yield {**_of(network), "tensors": number, "what": "left behind", "reason": reason}


def _agreement(document: Report) -> Rows:
    found = document.agreement
    if not found:
        return
    reasons = {(pair.first, pair.second): pair.reason for pair in found.refused}
    for (a, first), (b, second) in combinations(enumerate(found.ids), 2):
        images, same = found.images[a][b], found.same[a][b]
        yield {
            "first": first,
            "second": second,
            "images": images,
            "same_first_class": same,
            "same_first_class_percent": 100 * same / images if images else None,
            "right_only_first": found.only_first[a][b],
            "right_only_second": found.only_second[a][b],
            "mcnemar_p": found.p[a][b],
            "not_compared": reasons.get((first, second), ""),
            "matched_by_name_alone": bool({first, second} & set(found.by_name)) and images > 0,
        }


def _throughput(document: Report) -> Rows:
    keys = ("images_per_second", "model_images_per_second", "prepared_per_core_second", "seconds")
    for network in document.networks:
        found = network.throughput
        if found:
            stages = {f"{stage}_seconds": getattr(found.stages, stage) for stage in _STAGES}
            how = {
                key: getattr(found, key) for key in ("workers", "ranks", "device", "device_name", "dtype", "pipeline")
            }
            yield {**_of(network), **_picked(found, keys), **stages, **how}


def _published_accuracy(document: Report) -> Rows:
    for number in document.published.accuracy:
        more = {"unit": number.unit, "dataset": number.dataset, "precision": number.precision}
        images = {"size_pixels": number.size, "recipe": number.recipe, "layout": number.layout}
        yield _picked(number, _OF_NUMBERS) | more | images


def _published_cost(document: Report) -> Rows:
    for number in document.published.cost:
        sizes = {"size_pixels": number.size, "counted_size_pixels": number.counted_size}
        yield _picked(number, _OF_NUMBERS) | {"convention": number.convention} | sizes


def _published_files(document: Report) -> Rows:
    names = {"size": "size_pixels"}
    for row in document.published.files:
        yield {names.get(key, key): getattr(row, key) for key in _OF_FILES}


def _published_sources(document: Report) -> Rows:
    for source in document.published.sources:
        yield _picked(source, _OF_SOURCES)


def _disagreements(document: Report) -> Rows:
    """Yield a line for each number of each disagreement; lines of one have the same `disagreement`."""
    for index, found in enumerate(document.published.disagreements, 1):
        what = {key: getattr(found, key) for key in ("variant", "weights", "quantity", "dataset", "precision")}
        span = {"size_pixels": found.size, "low": found.low, "high": found.high, "marked": found.marked}
        for number in found.numbers:
            said = {key: getattr(number, key) for key in ("source", "model", "value", "step", "decides", "note")}
            yield {"disagreement": index, **what, **span, **said, "reasons": "; ".join(found.reasons)}


_TABLES: dict[str, Callable[[Report], Rows]] = {
    "networks": _networks,
    "verdicts": _verdicts,
    "accuracy": _accuracy,
    "groups": _groups,
    "cost": _cost,
    "operations": _operations,
    "verifications": _verifications,
    "layers": _layers,
    "coverage": _coverage,
    "agreement": _agreement,
    "throughput": _throughput,
    "published-accuracy": _published_accuracy,
    "published-cost": _published_cost,
    "published-files": _published_files,
    "published-sources": _published_sources,
    "disagreements": _disagreements,
}


def _picked(thing: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in names}


def _of(network: Network) -> dict[str, Any]:
    return {"network": network.id, "variant": network.variant, "weights": network.weights}


def _verified(document: Report) -> Iterator[tuple[Network, Verification]]:
    """Yield every verification once, with its first network."""
    seen = set()
    for network in document.networks:
        for found in network.verifications:
            if found.id not in seen:
                seen.add(found.id)
                yield network, found


def _proportion(name: str, found: Proportion | None) -> dict[str, Any]:
    percent, (low, high) = (found.percent, found.interval) if found else (None, (None, None))
    hits = {f"{name}_hits": found.hits if found else None}
    return hits | {f"{name}_percent": percent, f"{name}_low_percent": low, f"{name}_high_percent": high}


def _beside(name: str, found: Beside | None) -> dict[str, Any]:
    return {
        f"{name}_published_percent": found.published if found else None,
        f"{name}_published_by": found.publisher if found else None,
        f"{name}_difference_points": found.difference if found else None,
    }


def _judged(name: str, judged: Judged | None, measured: Proportion) -> dict[str, Any]:
    low, high = measured.interval
    return {
        f"{name}_measured_percent": measured.percent,
        f"{name}_low_percent": low,
        f"{name}_high_percent": high,
        f"{name}_published_percent": judged.published if judged else None,
        f"{name}_difference_points": judged.difference if judged else None,
        f"{name}_limit_points": judged.limit if judged else None,
        f"{name}_verdict": judged.word if judged else None,
    }

"""CSV tables of a report for analysis: a file for each kind of item, a line for each item, units in the header."""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from typing import Any

from effconvert.report.renderings.text import csv_text

Plain = Mapping[str, Any]
Rows = Iterator[dict[str, Any]]

_OF_SOURCES = ("id", "title", "publisher", "url", "revision", "date", "note")
_OF_NUMBERS = ("source", "date", "model", "variant", "weights", "quantity", "value", "step", "decides", "note")
_OF_FILES = (
    "framework", "variant", "weights", "network", "file", "url", "sha256", "bytes", "size", "classes", "released",
    "recipe", "note", "source",
)  # fmt: skip
_OF_LAYERS = ("layer", "mode", "largest", "mean", "scale", "relative", "cosine", "allowed", "passed")
_STAGES = ("reading", "preparing", "copying", "waiting")


def render_tables(document: Plain) -> dict[str, str]:
    """Return {file name: CSV} for every table that is not empty.

    The column `network` has the network's id, which is the same in all tables.
    """
    found = {f"{name}.csv": list(rows(document)) for name, rows in _TABLES.items()}
    return {name: csv_text(rows[0], (row.values() for row in rows)) for name, rows in found.items() if rows}


def _networks(document: Plain) -> Rows:
    for network in document["networks"]:
        model, source, accuracy = network["model"], network["conversion"] or {}, network["accuracy"] or {}
        cost = network["cost"] or {}
        yield {
            **_of(network),
            "name": network["name"],
            "file": model["file"],
            "layout": model["layout"],
            "set_of_weights": model["taken"],
            "dtype": model["dtype"],
            "classes": model["classes"],
            "parameters": model["parameters"],
            "statistics": cost.get("statistics"),
            "multiply_adds": cost.get("operations", {}).get("multiply-adds"),
            "size_pixels": cost.get("size"),
            "images": accuracy.get("images"),
            **_proportion("top1", accuracy.get("top1")),
            **_proportion("top5", accuracy.get("top5")),
            "calibration_error": accuracy.get("calibration_error"),
            "mean_margin_of_logits": accuracy.get("mean_margin"),
            **{f"{row['check']}_verdict": row["verdict"] for row in network["verdicts"]},
            "converted_from": source.get("layout"),
            "url": source.get("url"),
            "map_sha256": source.get("map_sha256"),
            "file_sha256": " ".join(model["sha256"].values()),
            "run": network["provenance"]["run_file"],
            "finished": network["provenance"]["finished"],
            "sentence": network["sentence"],
        }


def _verdicts(document: Plain) -> Rows:
    for network in document["networks"]:
        for row in network["verdicts"]:
            yield {**_of(network), **{key: row[key] for key in ("check", "verdict", "measured", "allowed", "reason")}}


def _accuracy(document: Plain) -> Rows:
    for network in document["networks"]:
        measured = network["accuracy"] or {"sources": ()}
        for source in measured["sources"]:
            yield {
                **_of(network),
                "source": source["kind"],
                "title": source["source"],
                "size_pixels": source["size"],
                "own_preprocessing": source["own_preprocessing"],
                "decides": source["decides"],
                "images": measured["images"],
                **_judged("top1", source["top1"], measured["top1"]),
                **_judged("top5", source["top5"] or {}, measured["top5"]),
                "reason": source["reason"],
                "note": source["note"],
            }


def _groups(document: Plain) -> Rows:
    for network in document["networks"]:
        for group in (network["accuracy"] or {"groups": ()})["groups"]:
            shares = _proportion("top1", group["top1"]) | _proportion("top5", group["top5"])
            images = {"classes": group["classes"], "images": group["top1"]["images"]}
            yield {**_of(network), "group": group["name"], **images, **shares}


def _cost(document: Plain) -> Rows:
    keys = ("quantity", "convention", "ours", "published", "step", "difference", "equal", "failed", "verdict", "note")
    for network in document["networks"]:
        for row in (network["cost"] or {"comparisons": ()})["comparisons"]:
            sizes = {"size_pixels": row["size"], "counted_size_pixels": row["counted_size"]}
            source = {"source": row["kind"], "title": row["source"]}
            yield {**_of(network), **source, **sizes, **{key: row[key] for key in keys}}


def _operations(document: Plain) -> Rows:
    for network in document["networks"]:
        cost = network["cost"] or {"operations": {}}
        for convention, operations in cost["operations"].items():
            yield {**_of(network), "size_pixels": cost["size"], "convention": convention, "operations": operations}


def _verifications(document: Plain) -> Rows:
    keys = ("framework", "network", "loader", "same", "first", "top1_agreement", "top5_agreement")
    names = {"network": "built", "first": "first_layer_that_differs"}
    for network, found in _verified(document):
        for pair in found["comparisons"]:
            yield {
                **_of(network),
                "verification": found["id"],
                "file": found["file"],
                "verdict": found["verdict"],
                "source_framework": found["source"]["framework"],
                **{names.get(key, key): pair[key] for key in keys},
                "sensitivity": found["sensitivity"],
                "sentence": found["sentence"],
            }


def _layers(document: Plain) -> Rows:
    for network, found in _verified(document):
        for pair in found["comparisons"]:
            for row in pair["rows"]:
                which = {"verification": found["id"], "framework": pair["framework"]}
                yield {"network": network["id"], **which, **{key: row[key] for key in _OF_LAYERS}}


def _coverage(document: Plain) -> Rows:
    for network in document["networks"]:
        source = network["conversion"] or {}
        if source.get("moved") is not None:
            yield {**_of(network), "tensors": source["moved"], "what": "moved", "reason": ""}
        for reason, number in (source.get("left_behind") or {}).items():
            yield {**_of(network), "tensors": number, "what": "left behind", "reason": reason}


def _agreement(document: Plain) -> Rows:
    found = document["agreement"] or {"ids": (), "refused": (), "by_name": ()}
    reasons = {(pair["first"], pair["second"]): pair["reason"] for pair in found["refused"]}
    for (a, first), (b, second) in combinations(enumerate(found["ids"]), 2):
        images, same = found["images"][a][b], found["same"][a][b]
        yield {
            "first": first,
            "second": second,
            "images": images,
            "same_first_class": same,
            "same_first_class_percent": 100 * same / images if images else None,
            "right_only_first": found["only_first"][a][b],
            "right_only_second": found["only_second"][a][b],
            "mcnemar_p": found["p"][a][b],
            "not_compared": reasons.get((first, second), ""),
            "matched_by_name_alone": bool({first, second} & set(found["by_name"])) and images > 0,
        }


def _throughput(document: Plain) -> Rows:
    keys = ("images_per_second", "model_images_per_second", "prepared_per_core_second", "seconds")
    for network in document["networks"]:
        found = network["throughput"]
        if found:
            stages = {f"{stage}_seconds": found["stages"][stage] for stage in _STAGES}
            how = {key: found[key] for key in ("workers", "ranks", "device", "device_name", "dtype", "pipeline")}
            yield {**_of(network), **{key: found[key] for key in keys}, **stages, **how}


def _published_accuracy(document: Plain) -> Rows:
    for number in document["published"]["accuracy"]:
        more = {"unit": number["unit"], "dataset": number["dataset"], "precision": number["precision"]}
        images = {"size_pixels": number["size"], "recipe": number["recipe"], "layout": number["layout"]}
        yield {key: number[key] for key in _OF_NUMBERS} | more | images


def _published_cost(document: Plain) -> Rows:
    for number in document["published"]["cost"]:
        sizes = {"size_pixels": number["size"], "counted_size_pixels": number["counted_size"]}
        yield {key: number[key] for key in _OF_NUMBERS} | {"convention": number["convention"]} | sizes


def _published_files(document: Plain) -> Rows:
    names = {"size": "size_pixels"}
    for row in document["published"]["files"]:
        yield {names.get(key, key): row[key] for key in _OF_FILES}


def _published_sources(document: Plain) -> Rows:
    for source in document["published"]["sources"]:
        yield {key: source.get(key, "") for key in _OF_SOURCES}


def _disagreements(document: Plain) -> Rows:
    """Yield a line for each number of each disagreement; lines of one have the same `disagreement`."""
    for index, found in enumerate(document["published"]["disagreements"], 1):
        what = {key: found[key] for key in ("variant", "weights", "quantity", "dataset", "precision")}
        span = {"size_pixels": found["size"], "low": found["low"], "high": found["high"], "marked": found["marked"]}
        for number in found["numbers"]:
            said = {key: number[key] for key in ("source", "model", "value", "step", "decides", "note")}
            yield {"disagreement": index, **what, **span, **said, "reasons": "; ".join(found["reasons"])}


_TABLES: dict[str, Callable[[Plain], Rows]] = {
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


def _of(network: Plain) -> dict[str, Any]:
    return {"network": network["id"], "variant": network["variant"], "weights": network["weights"]}


def _verified(document: Plain) -> Iterator[tuple[Plain, Plain]]:
    """Yield every verification once, with its first network."""
    seen = set()
    for network in document["networks"]:
        for found in network["verifications"]:
            if found["id"] not in seen:
                seen.add(found["id"])
                yield network, found


def _proportion(name: str, found: Plain | None) -> dict[str, Any]:
    percent, (low, high) = (found["percent"], found["interval"]) if found else (None, (None, None))
    hits = {f"{name}_hits": found["hits"] if found else None}
    return hits | {f"{name}_percent": percent, f"{name}_low_percent": low, f"{name}_high_percent": high}


def _judged(name: str, judged: Plain, measured: Plain) -> dict[str, Any]:
    low, high = measured["interval"]
    return {
        f"{name}_measured_percent": measured["percent"],
        f"{name}_low_percent": low,
        f"{name}_high_percent": high,
        f"{name}_published_percent": judged.get("published"),
        f"{name}_difference_points": judged.get("difference"),
        f"{name}_limit_points": judged.get("limit"),
        f"{name}_verdict": judged.get("word"),
    }

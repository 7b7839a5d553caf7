"""One network of a report, from a run and the verifications of its file, in plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from effconvert.architecture.facts import complete
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import DatasetProblem
from effconvert.report.checks import verdicts
from effconvert.report.given_files import RunInput, VerificationInput
from effconvert.report.naming import network_name
from effconvert.report.origins import conversion
from effconvert.report.sentences import network_sentence, warnings_of
from effconvert.validate.accuracy.judgement import judge
from effconvert.validate.accuracy.summary import summarise
from effconvert.validate.cost_report import report_cost

Plain = Mapping[str, Any]
Verifications = Sequence[tuple[str, VerificationInput]]

_OF_SUMMARY = ("images", "unlabelled", "top1", "top5", "calibration_error", "mean_margin", "groups")
_OF_MODEL = ("file", "sha256", "layout", "taken", "facts", "classes", "parameters")
_OF_SOURCE = ("framework", "network", "loader", "path", "layout", "variant", "taken", "dtype", "sha256", "facts")
_OF_LAYER = ("layer", "mode", "largest", "mean", "scale", "relative", "cosine", "allowed", "passed")
_STAGES = ("reading", "preparing", "copying", "waiting")


def network_of_run(name: str, run: RunInput, verifications: Verifications) -> dict[str, Any]:
    """Return the network of a run. name: its id. verifications: of its file, with an id each."""
    record = run.record
    model, size = record["model"], record["recipe"]["size"]
    return _completed(
        {
            "id": name,
            "name": network_name(model),
            "variant": model["variant"],
            "weights": model["weights"],
            "model": _model(model, verifications),
            "conversion": conversion(model.get("origin")),
            "verifications": [_verification(*each) for each in verifications],
            "accuracy": _accuracy(run),
            "recipe": {"shorter_side": 0, **record["recipe"]},
            "dataset": _dataset(record["dataset"]),
            "cost": _cost(model["variant"], model["facts"], size),
            "throughput": _throughput(record),
            "provenance": _provenance(run),
        },
        record,
    )


def network_of_verification(name: str, verifications: Verifications) -> dict[str, Any]:
    """Return the network of verifications without a run; the first one describes it."""
    document = verifications[0][1].document
    said = document["converted"]
    cost = _cost(said["variant"], said["facts"], None)
    plain = {"weights": None, "origin": None, **said, "file": said["path"], "classes": said["facts"]["classes"]}
    model = plain | {"parameters": cost["parameters"]}
    return _completed(
        {
            "id": name,
            "name": network_name(model),
            "variant": model["variant"],
            "weights": model["weights"],
            "model": _model(model, verifications),
            "conversion": conversion(model["origin"]),
            "verifications": [_verification(*each) for each in verifications],
            **dict.fromkeys(("accuracy", "recipe", "dataset", "throughput")),
            "cost": cost,
            "provenance": {
                "run_file": None,
                "finished": document.get("run", {}).get("date"),
                "versions": _text_versions(document.get("run", {})),
                "device": None,
                "computing": None,
            },
        },
        {"model": model},
    )


def _completed(network: dict[str, Any], record: Plain) -> dict[str, Any]:
    """Return the network with its verdicts, warnings and sentence."""
    network["verdicts"] = verdicts(network)
    network["cautions"] = list(warnings_of(network, record))
    network["sentence"] = network_sentence(network)
    return network


def _model(model: Plain, verifications: Verifications) -> dict[str, Any]:
    verified = verifications[0][1].document["converted"]["dtype"] if verifications else None
    said = {"dtype": model.get("dtype") or verified, "assumed": list(model.get("assumed", ()))}
    return {name: model[name] for name in _OF_MODEL} | said


def _verification(name: str, read: VerificationInput) -> dict[str, Any]:
    said = read.document
    comparisons = [
        {key: pair[key] for key in ("framework", "network", "loader", "same", "top1_agreement", "top5_agreement")}
        | {
            "first": pair["first"]["layer"] if pair["first"] else None,
            "rows": [{key: row[key] for key in _OF_LAYER} for row in pair["rows"]],
        }
        for pair in said["comparisons"]
    ]
    return {
        "id": name,
        "file": read.path,
        **{key: said[key] for key in ("verdict", "sentence", "sensitivity")},
        "tolerance": {key: said["tolerance"][key] for key in ("accumulated", "fed", "relaxed", "rounded")},
        "source": {key: said["source"][key] for key in _OF_SOURCE} | {"assumed": said["source"].get("assumed", [])},
        "inputs": {key: said["inputs"][key] for key in ("kind", "count", "size", "sha256")},
        "comparisons": comparisons,
        "unlike_tensors": dict(said.get("unlike_tensors", {})),
        "judgement": said.get("judgement", ""),
        "cautions": list(said["cautions"]),
    }


def _accuracy(run: RunInput) -> dict[str, Any] | None:
    try:
        summary, judgement = summarise(run.predictions), judge(run.predictions)
    except DatasetProblem:  # no image has a label
        return None
    said = replace(summary, classes=()).to_dict()  # without a thousand rows that no rendering shows
    judged = judgement.to_dict()
    kept = ("source", "kind", "size", "own_preprocessing", "top1", "top5", "decides", "reason", "note")
    sources = [{key: source[key] for key in kept} for source in judged["sources"]]
    return {key: said[key] for key in _OF_SUMMARY} | judged | {"sources": sources}


def _dataset(said: Plain) -> dict[str, Any]:
    return {
        **{key: said[key] for key in ("path", "kind", "classes", "images", "evaluated", "fingerprint")},
        "missing": said.get("missing", 0),
        "chosen": said.get("chosen", "all"),
        "imagenet_validation": said.get("imagenet_validation", False),
        "labels": said.get("labels", "own"),
        "findings": list(said.get("findings", ())),
        "skipped": len(said["skipped"]),
    }


def _cost(variant: str, facts: Plain, size: int | None) -> dict[str, Any]:
    return _counted(variant, tuple(sorted(facts.items())), size)


@cache
def _counted(variant: str, facts: tuple[tuple[str, Any], ...], size: int | None) -> dict[str, Any]:
    report = report_cost(VARIANTS[variant], complete(dict(facts)), size)
    return {
        "size": report.size,
        "parameters": report.parameters,
        "statistics": report.statistics,
        "operations": dict(report.operations),
        "comparisons": [
            {
                **{key: getattr(comparison.row, key) for key in ("source", "kind", "size", "counted_size", "note")},
                "convention": comparison.row.convention if comparison.quantity == "operations" else "",
                **{
                    key: getattr(comparison, key)
                    for key in ("quantity", "ours", "published", "step", "difference", "equal", "failed", "verdict")
                },
            }
            for comparison in report.comparisons
        ],
    }


def _throughput(record: Plain) -> dict[str, Any] | None:
    run, computing = record.get("run", {}), record["computing"]
    if "seconds" not in run:
        return None
    alone = run.get("model_images_per_second", {})
    usual = next(iter(alone.values())) if len(alone) == 1 else None
    return {
        "images_per_second": run.get("images_per_second"),
        "model_images_per_second": alone.get(record["model"]["file"], usual),
        "prepared_per_core_second": run.get("prepared_per_core_second"),
        "seconds": run["seconds"],
        "stages": {stage: run.get(f"{stage}_seconds") for stage in _STAGES},
        "workers": run.get("workers"),
        "ranks": run.get("ranks"),
        "device": computing["device"],
        "device_name": computing.get("device_name"),
        "dtype": computing["dtype"],
        "pipeline": computing.get("pipeline"),
    }


def _provenance(run: RunInput) -> dict[str, Any]:
    computing = run.record["computing"]
    return {
        "run_file": run.path,
        "finished": run.record.get("run", {}).get("finished"),
        "versions": dict(computing.get("versions", {})),
        "device": computing["device"],
        "computing": {name: value for name, value in computing.items() if name != "versions"},
    }


def _text_versions(run: Plain) -> dict[str, str]:
    return {"effconvert": run["effconvert"]} if "effconvert" in run else {}

"""Reports made by code: any number of networks, with plausible numbers, the same in every run."""

import hashlib
from typing import Any

from effconvert.architecture.variants import VARIANTS
from effconvert.preprocessing.recipes import official_recipe
from effconvert.report.contents.plain_values import from_plain
from effconvert.report.contents.report import Report
from effconvert.report.schema import REPORT, problems
from effconvert.validate.accuracy.statistics import Proportion, mcnemar
from helpers.report.made_publications import MULTIPLY_ADDS, PARAMETERS, TOP1, made_publications

IMAGES = 50_000
LAYERS = ("stem", *(f"blocks.{number}" for number in range(16)), "head", "pooled", "logits")
_TRAININGS = ("aa", "ns", "advprop", "base")
_COMPARED = 100  # networks in the matrices, at most
_ORDER = ("coverage", "tensors", "layers", "logits", "accuracy", "parameters", "operations")


def typed(document: dict[str, Any] | Report) -> Report:
    """Return the report of plain values, which must conform to the schema."""
    if isinstance(document, Report):
        return document
    found = problems(document, REPORT)
    assert not found, found
    return from_plain(Report, document)


def made_document(
    networks: int = 3, *, verification: bool = True, accuracy: bool = True, name: str | None = None
) -> dict[str, Any]:
    """Return a report of `networks` networks, B0 to B7 in turn; of none it is that of what was published.

    verification, accuracy: whether the networks have them; without accuracy they have no run at all. name: what the
    first network's file, name and training are called, in place of plausible names.
    """
    made = [_network(number, verification, accuracy) for number in range(networks)]
    if name is not None and made:
        made[0]["name"] = made[0]["weights"] = made[0]["model"]["file"] = name
        made[0]["sentence"] = f"{name}: {made[0]['sentence']}"
    return {
        "schema": "effconvert/report/1",
        "kind": "runs" if made else "published",
        "title": "EfficientNet: converted and measured" if made else "EfficientNet: what was published",
        "sentence": f"{networks:,} networks: all are what was published" if made else "21 variants, 7 publishers",
        "networks": made,
        "agreement": _agreement(made) if accuracy and len(made) > 1 else None,
        "published": made_publications(),
        "inputs": [
            {"path": f"effconvert-runs/{network['id']}.npz", "kind": "run", "sha256": _sha256(network["id"])}
            for network in made
        ],
        "run": {"effconvert": "0.1.0", "python": "3.11.2", "machine": "Linux-6.1.0-x86_64"},
    }


def _network(number: int, verification: bool, accuracy: bool) -> dict[str, Any]:
    variant = tuple(TOP1)[number % 8]
    weights = _TRAININGS[number // 8 % 4]
    name = f"{variant}-{weights}" if number < 32 else f"{variant}-{weights}-{number}"
    hits = int(IMAGES * TOP1[variant] / 100) + number % 13 - 6
    sha256 = {f"{name}.safetensors": _sha256(name)}
    facts = {"bn_eps": 0.001, "padding": "tf-same", "activation": "silu", "fused_stride": "project", "classes": 1000}
    return {
        "id": name,
        "name": f"efficientnet-{variant} ({weights})",
        "sentence": f"efficientnet-{variant} ({weights}) converted from TensorFlow: {213 + 8 * number % 90} tensors; "
        f"{100 * hits / IMAGES:.2f} % top-1 on 50,000 images, published {TOP1[variant]}",
        "variant": variant,
        "weights": weights,
        "summary": _summary(variant, hits, verification, accuracy),
        "model": {
            "file": f"{name}.safetensors",
            "sha256": sha256,
            "layout": "canonical",
            "taken": "weights",
            "facts": facts | {"head_conv": True, "normalization": "outside"},
            "classes": 1000,
            "parameters": PARAMETERS[variant],
            "assumed": [],
            "dtype": "float32" if verification else None,
        },
        "verdicts": [_check(check, verification, accuracy) for check in _ORDER],
        "conversion": {
            "source_sha256": {f"efficientnet-{variant}/model.ckpt.data-00000-of-00001": _sha256(f"source {name}")},
            "url": f"https://storage.googleapis.com/cloud-tpu-checkpoints/efficientnet/ckptsaug/efficientnet-{variant}.tar.gz",
            "layout": "tf-official",
            "taken": "averages",
            "map_sha256": _sha256("map"),
            "options": {},
            "moved": 213 + 8 * number % 90,
            "left_behind": {"raw weights; their averages are taken": 213, "of the optimiser": 2},
        },
        "verifications": [_verification(number, name, variant, sha256)] if verification else [],
        "accuracy": _accuracy(variant, hits) if accuracy else None,
        "recipe": official_recipe(variant, "aa").to_dict() if accuracy else None,
        "dataset": _dataset() if accuracy else None,
        "cost": _cost(variant),
        "throughput": _throughput(number) if accuracy else None,
        "cautions": [] if number % 3 else ["the file's weights are rounded to float16; the published ones are not"],
        "provenance": {
            "run_file": f"effconvert-runs/{name}.npz" if accuracy else None,
            "finished": "2026-01-31T12:00:00+00:00" if accuracy else None,
            "versions": {"effconvert": "0.1.0", "torch": "2.9.0", "numpy": "2.3.0"},
            "device": "cpu",
            "computing": {"dtype": "float32", "pipeline": "exact"} if accuracy else None,
        },
    }


def _summary(variant: str, hits: int, verification: bool, accuracy: bool) -> dict[str, Any]:
    passed = 3 + 3 * verification + accuracy
    words = (
        ["not verified"] * (not verification) + [f"passed {passed} of 7"] + ["accuracy not measured"] * (not accuracy)
    )
    measured = 100 * hits / IMAGES
    top1 = {"measured": measured, "published": TOP1[variant], "publisher": "TensorFlow"}
    top1 |= {"difference": round(measured - TOP1[variant], 6)}
    top5 = {"measured": min(100, measured + 15), "published": None, "publisher": "", "difference": None}
    return {
        "verdict": "passed" if verification and accuracy else "incomplete",
        "words": "; ".join(words),
        "passed": passed,
        "top1": top1 if accuracy else None,
        "top5": top5 if accuracy else None,
        "worst_layer": {"layer": "blocks.11", "relative": 3.1e-6, "allowed": 2e-5} if verification else None,
    }


def _check(check: str, verification: bool, accuracy: bool) -> dict[str, str]:
    rows = {
        "coverage": ("213 tensors moved, 215 left behind with a reason", "every tensor", True),
        "tensors": ("values of 0 tensors differ", "0", verification),
        "layers": ("blocks.11: 3.1e-6", "2.0e-5", verification),
        "logits": ("1.2e-6", "2.0e-5", verification),
        "accuracy": ("77.102 %", "77.1 % \N{PLUS-MINUS SIGN} 0.050 points", accuracy),
        "parameters": ("5,288,548", "5,288,548", True),
        "operations": ("5 of 5 published figures", "all that decide", True),
    }
    measured, allowed, known = rows[check]
    if known:
        return {"check": check, "verdict": "passed", "measured": measured, "allowed": allowed, "reason": ""}
    return {"check": check, "verdict": "not measured", "measured": "", "allowed": "", "reason": "nobody did it"}


def _verification(number: int, name: str, variant: str, sha256: dict[str, str]) -> dict[str, Any]:
    facts = {"bn_eps": 0.001, "padding": "tf-same", "classes": 1000}
    return {
        "id": name,
        "file": f"{name}.json",
        "verdict": "same",
        "sentence": "same: logits differ by 1.2e-06 of the largest value",
        "sensitivity": 0.43,
        "tolerance": {"accumulated": 2e-5, "fed": 5e-6, "relaxed": False, "rounded": ""},
        "source": {
            "path": f"efficientnet-{variant}/model.ckpt",
            "framework": "tensorflow 2.19.0",
            "network": "efficientnet_builder.build_model",
            "loader": "tf.compat.v1.train.Saver",
            "layout": "tf-official",
            "variant": variant,
            "taken": "averages",
            "dtype": "float32",
            "sha256": {f"efficientnet-{variant}/model.ckpt.data-00000-of-00001": _sha256(f"source {name}")},
            "facts": facts,
            "assumed": [],
        },
        "inputs": {"kind": "synthetic", "count": 2, "size": 224, "sha256": _sha256("images")},
        "comparisons": [_comparison(number, "torch 2.9.0"), _comparison(number + 1, "timm 1.0.9")][: 1 + number % 2],
        "unlike_tensors": {},
        "judgement": "",
        "explained": False,
        "causes": [],
        "cautions": [],
    }


def _comparison(number: int, framework: str) -> dict[str, Any]:
    rows = [_layer(number, place, mode) for place in range(len(LAYERS)) for mode in ("accumulated", "fed")]
    return {
        "framework": framework,
        "network": "effconvert's canonical network" if framework.startswith("torch") else "timm's",
        "loader": "strict",
        "same": True,
        "first": None,
        "top1_agreement": 1.0,
        "top5_agreement": 1.0,
        "rows": rows,
    }


def _layer(number: int, place: int, mode: str) -> dict[str, Any]:
    relative = (2e-7 + 1.5e-7 * place * (1 + number % 4)) if mode == "accumulated" else 2e-7 + 1e-8 * (place % 5)
    scale = 2.0 + place % 7
    return {
        "layer": LAYERS[place],
        "mode": mode,
        "largest": relative * scale,
        "mean": relative * scale / 9,
        "scale": scale,
        "relative": relative,
        "cosine": 1.0,
        "allowed": 2e-5 if mode == "accumulated" else 5e-6,
        "passed": True,
    }


def _accuracy(variant: str, hits: int) -> dict[str, Any]:
    top5 = min(IMAGES, int(hits + 0.75 * (IMAGES - hits)))
    measured, published = 100 * hits / IMAGES, TOP1[variant]
    sources = [
        _source(kind, measured, published + change, kind == "readme", VARIANTS[variant].resolution)
        for kind, change in (("readme", 0.0), ("timm", -0.25), ("mmpretrain", -0.12))
    ]
    return {
        "images": IMAGES,
        "unlabelled": 0,
        "top1": Proportion(hits, IMAGES).to_dict(),
        "top5": Proportion(top5, IMAGES).to_dict(),
        "calibration_error": 0.0421,
        "mean_margin": 4.2,
        "groups": [
            {
                "name": group,
                "classes": 30,
                "top1": Proportion(right, 1500).to_dict(),
                "top5": Proportion(right + 90, 1500).to_dict(),
            }
            for group, right in (("reptile", 1001), ("vehicle", 1130), ("dog", 1201))
        ],
        "verdict": "same",
        "colour": "green",
        "sentence": f"same: top-1 is {measured:.3f} %, readme has {published:g} % (its own preprocessing)",
        "sources": sources,
        "remarks": [],
    }


def _source(kind: str, measured: float, published: float, own: bool, size: int) -> dict[str, Any]:
    judged: dict[str, Any] = {
        "word": "same" if own else "not judged",
        "measured": measured,
        "published": round(published, 3),
    }
    judged |= {"difference": round(measured - published, 6), "limit": 0.05 if own else None}
    return {
        "source": f"what {kind} says",
        "kind": kind,
        "size": size,
        "own_preprocessing": own,
        "top1": judged,
        "top5": None,
        "decides": own,
        "reason": "" if own else "the run has the preprocessing of tf-official, so its figure decides",
        "note": "",
    }


def _dataset() -> dict[str, Any]:
    return {
        "path": "imagenet/val",
        "kind": "a folder per class",
        "classes": "imagenet-1k",
        "images": IMAGES,
        "evaluated": IMAGES,
        "missing": 0,
        "chosen": "all",
        "imagenet_validation": True,
        "labels": "own",
        "findings": ["50,000 images of 1,000 classes, 50 of each"],
        "fingerprint": _sha256("imagenet"),
        "skipped": 0,
    }


def _cost(variant: str) -> dict[str, Any]:
    operations, size = MULTIPLY_ADDS[variant] * 1_000_000, VARIANTS[variant].resolution
    figures = (("parameters", PARAMETERS[variant], 1, ""), ("operations", operations, 1_000_000, "multiply-adds"))
    return {
        "size": size,
        "parameters": PARAMETERS[variant],
        "statistics": 42016,
        "operations": {"multiply-adds": operations, "fvcore-timm": operations + 14_000_000},
        "comparisons": [
            {
                "source": "counted in the graph of tensorflow/tpu",
                "kind": "graph",
                "quantity": quantity,
                "convention": convention,
                "size": size,
                "counted_size": size,
                "ours": ours,
                "published": ours,
                "step": step,
                "difference": 0,
                "equal": True,
                "failed": False,
                "verdict": "equal to the last digit",
                "note": "the whole graph",
            }
            for quantity, ours, step, convention in figures
        ],
    }


def _throughput(number: int) -> dict[str, Any]:
    rate = 350.0 / (1 + number % 8)
    return {
        "images_per_second": rate,
        "model_images_per_second": 1.2 * rate,
        "prepared_per_core_second": 317.0,
        "seconds": round(IMAGES / rate, 3),
        "stages": {"reading": 12.5, "preparing": 160.0, "copying": 0.0, "waiting": 3.5 + number % 5},
        "workers": 8,
        "ranks": 1,
        "device": "cpu",
        "device_name": "cpu",
        "dtype": "float32",
        "pipeline": "exact",
    }


def _agreement(networks: list[dict[str, Any]]) -> dict[str, Any]:
    shown = networks[:_COMPARED]
    hits = [network["accuracy"]["top1"]["hits"] for network in shown]

    def only(right: int, other: int) -> int:
        return 0 if right == other else 400 + max(0, right - other)

    first = [[only(one, other) for other in hits] for one in hits]
    second = [[only(other, one) for other in hits] for one in hits]
    same = [[IMAGES - a - b for a, b in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)]
    p: dict[tuple[int, int], float] = {}
    for row in zip(first, second, strict=True):
        p |= {
            pair: 0.0 if abs(pair[0] - pair[1]) > 500 else mcnemar(*pair)
            for pair in zip(*row, strict=True)
            if pair not in p
        }
    return {
        "ids": [network["id"] for network in shown],
        "left_out": len(networks) - len(shown),
        "images": [[IMAGES] * len(shown) for _ in shown],
        "same": same,
        "only_first": first,
        "only_second": second,
        "p": [[p[pair] for pair in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)],
        "refused": [],
        "by_name": [],
        "uncompared": [],
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

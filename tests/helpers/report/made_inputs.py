"""Input files of reports, written by code: complete runs of a few images, and verifications."""

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.costs.quantities import parameter_count
from effconvert.preprocessing.recipes import recipe_named
from effconvert.validate.accuracy.matching import stems
from effconvert.validate.data.image_hashes import HASH_BYTES, Hashes, image_hash
from effconvert.validate.predictions import NO_LABEL, SCHEMA, Predictions, write_predictions

FILE, OTHER, SOURCE = ("1" * 64, "2" * 64, "3" * 64)
_WHOLE = 50_000  # images that a record says were evaluated, unless fewer are written beside it
LAYERS = ("stem", "blocks.0", "head", "pooled", "logits")


def origin(**changes: Any) -> dict[str, Any]:
    """Return what a file says that was converted from TensorFlow once."""
    return {
        "layout": "tf-official",
        "taken": "averages",
        "options": {},
        "source": {"model.ckpt.index": SOURCE, "url": "https://example.org/b0.tar.gz"},
        "map_sha256": "4" * 64,
        "coverage": {"moved": 311, "left_behind": {"raw weights; their averages are taken": 311, "step": 1}},
    } | changes


def run_record(variant: str = "b0", sha256: str = FILE, **changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a run on ImageNet's validation set. changes: to its tables, as `dataset={...}`."""
    facts = default_facts(VARIANTS[variant])
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "complete": True,
        "model": {
            "file": f"{variant}.safetensors",
            "name": variant,
            "sha256": {f"{variant}.safetensors": sha256},
            "variant": variant,
            "weights": "aa",
            "taken": "weights",
            "layout": "canonical",
            "facts": facts.to_dict(),
            "classes": facts.classes,
            "parameters": parameter_count(VARIANTS[variant]),
            "dtype": "float32",
            "origin": origin(),
        },
        "recipe": recipe_named("tf-official", variant).to_dict(),
        "dataset": {
            "path": "imagenet/val",
            "kind": "a folder of images",
            "classes": "imagenet-1k",
            "images": 50_000,
            "evaluated": _WHOLE,
            "missing": 0,
            "chosen": "all",
            "imagenet_validation": True,
            "labels": "own",
            "findings": [],
            "fingerprint": "5" * 64,
            "skipped": {},
        },
        "computing": {
            "device": "cpu",
            "device_name": "cpu",
            "dtype": "float32",
            "pipeline": "exact",
            "versions": {"torch": "2.9.0"},
        },
        "cautions": [],
        "run": {
            "seconds": 12.5,
            "images_per_second": 40.1,
            "model_images_per_second": {f"{variant}.safetensors": 50.2},
            "workers": 2,
            "ranks": 1,
            "reading_seconds": 0.5,
        },
    }
    for name, change in changes.items():
        record[name] = record[name] | dict(change) if isinstance(change, Mapping) else change
    return record


def write_run(
    path: Path, hits: int = 38_550, images: int = 50_000, *, record: Mapping[str, Any] | None = None, **arrays: Any
) -> Path:
    """Write a run of `images` of a thousand classes in turn, of which the first `hits` are right; return its path.

    arrays: others in place of those.
    """
    labels = np.arange(images, dtype=np.int32)[:, None] % 1000
    answers = (labels + np.arange(1, 6, dtype=np.int32)) % 1000
    answers[:hits, 0] = labels[:hits, 0]
    numbers = np.full(images, 0.5, np.float32)
    usual = {
        "ids": np.arange(images),
        "names": np.array([f"ILSVRC2012_val_{place + 1:08}.JPEG" for place in range(images)]),
        "labels": labels,
        "top5": answers,
        **dict.fromkeys(("label_logit", "margin", "confidence"), numbers),
    }
    usual |= arrays
    if "hashes" not in arrays and usual["names"].dtype.kind == "U":
        usual["hashes"] = hashes_of(usual["names"].tolist())
    said = dict(run_record() if record is None else record)
    if isinstance(said.get("dataset"), Mapping) and said["dataset"].get("evaluated") == _WHOLE:
        said["dataset"] = said["dataset"] | {"evaluated": images}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_predictions(path, Predictions(said, **usual), force=True)
    return path


def hashes_of(names: Sequence[str]) -> Hashes:
    """Return the hashes of images whose bytes are the last part of their names, without the suffix."""
    hashes = b"".join(image_hash(stem.encode("utf-8", "surrogatepass")) for stem in stems(names))
    return np.frombuffer(hashes, np.uint8).reshape(-1, HASH_BYTES)


def unlabelled(images: int) -> dict[str, Any]:
    """Return what `write_run` takes for images without any label."""
    return {"labels": np.full((images, 1), NO_LABEL, np.int32)}


def layer(name: str, mode: str = "accumulated", relative: float | None = 1e-6, allowed: float = 2e-5) -> dict[str, Any]:
    """Return how far one layer is from the source's; a relative difference of None is not finite."""
    return {
        "layer": name,
        "mode": mode,
        "largest": relative,
        "mean": relative,
        "scale": 1.0,
        "relative": relative,
        "cosine": 1.0,
        "at": [0, 0],
        "not_finite": [0, 0],
        "allowed": allowed,
        "shapes": [],
        "passed": relative is not None and relative <= allowed,
    }


def verification(sha256: str = FILE, variant: str = "b0", **changes: Any) -> dict[str, Any]:
    """Return what `verify --json` writes of a converted file that is its source; changes: to its tables or texts."""
    facts = default_facts(VARIANTS[variant]).to_dict()
    file = {"layout": "canonical", "variant": variant, "taken": "weights", "dtype": "float32", "facts": facts}
    converted = {"path": f"{variant}.safetensors", "sha256": {"any.safetensors": sha256}, "weights": "aa"}
    source = {"path": f"efficientnet-{variant}/model.ckpt", "sha256": {"model.ckpt.index": SOURCE}}
    ran = {"framework": "tensorflow 2.19.0", "network": "efficientnet", "loader": "tf.train.Saver"}
    rows = [layer(name) for name in LAYERS]
    document: dict[str, Any] = {
        "schema": "effconvert/verification/1",
        "verdict": "same",
        "sentence": "same: logits differ by 1.0e-06 of the largest value",
        "sensitivity": 0.4,
        "tolerance": {"accumulated": 2e-5, "fed": 5e-6, "relaxed": False, "rounded": ""},
        "comparisons": [
            {"framework": "canonical", "network": "own", "loader": "own", "same": True, "first": None, "rows": rows}
            | {"only": {}, "top1_agreement": 1.0, "top5_agreement": 1.0}
        ],
        "converted": file
        | converted
        | {"assumed": [], "coverage": {"moved": 311, "left_behind": {}}}
        | {"origin": origin()},
        "source": file | source | ran | {"layout": "tf-official", "taken": "averages", "assumed": []},
        "inputs": {"kind": "synthetic", "count": 2, "size": 64, "seed": 0, "sha256": "6" * 64},
        "roundings": [],
        "rounding_cost": None,
        "judgement": "",
        "tensors_of_first": [],
        "unlike_tensors": {},
        "causes": [],
        "cautions": [],
        "run": {"effconvert": "0.1.0", "date": "2026-01-31T12:00:00+00:00", "seconds": 3.0, "machine": "Linux"},
    }
    for name, change in changes.items():
        document[name] = document[name] | dict(change) if isinstance(change, Mapping) else change
    return document


def with_rows(document: dict[str, Any], *rows: dict[str, Any], verdict: str) -> dict[str, Any]:
    """Return the verification with other rows."""
    changed = copy.deepcopy(document)
    failing = next((row for row in rows if not row["passed"]), None)
    changed["comparisons"][0] |= {"rows": list(rows), "first": failing, "same": failing is None}
    return changed | {"verdict": verdict, "sentence": f"{verdict}: as the rows say"}


def write_verification(path: Path, document: Any = None) -> Path:
    """Write a verification, or any other JSON, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(verification() if document is None else document))
    return path

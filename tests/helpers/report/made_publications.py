"""Published numbers and files as a made report holds them: the real tables, with made sources."""

from typing import Any

from effconvert.architecture.variants import VARIANTS
from effconvert.reference_tables.accuracy import accuracy_table
from effconvert.reference_tables.cost import cost_table
from effconvert.reference_tables.weights import weights_table

TOP1 = {"b0": 77.1, "b1": 79.1, "b2": 80.1, "b3": 81.6, "b4": 82.9, "b5": 83.6, "b6": 84.0, "b7": 84.3}
PARAMETERS = dict(zip(TOP1, (5288548, 7794184, 9109994, 12233232, 19341616, 30389784, 43040704, 66347960), strict=True))
MULTIPLY_ADDS = dict(zip(TOP1, (386, 687, 994, 1827, 4406, 10289, 19066, 37760), strict=True))


def made_publications() -> dict[str, Any]:
    accuracy = [_accuracy_number(row) for row in accuracy_table()]
    cost = [
        _cost_number(row, quantity)
        for row in cost_table()
        for quantity in ("parameters", "operations")
        if getattr(row, quantity) is not None
    ]
    kinds = sorted({number["source"] for number in accuracy + cost})
    apart = [number for number in accuracy if (number["variant"], number["weights"]) == ("b0", "ns")]
    values = [number["value"] for number in apart] or [0.0]
    return {
        "sources": [
            {
                "id": kind,
                "title": f"what {kind} says",
                "publisher": "tensorflow",
                "url": "https://example.org",
                "revision": "7dc921f",
                "date": "2020-07",
                "note": "",
            }
            for kind in kinds
        ],
        "accuracy": accuracy,
        "cost": cost,
        "files": [_file(row) for row in weights_table()],
        "disagreements": [
            {
                "variant": "b0",
                "weights": "ns",
                "quantity": "top1",
                "dataset": "imagenet",
                "precision": "float32",
                "size": 224,
            }
            | {"low": min(values), "high": max(values), "numbers": apart, "marked": True, "reasons": ["other weights"]}
        ],
        "variants": [
            {
                "name": name,
                "size": VARIANTS[name].resolution,
                "parameters": PARAMETERS[name],
                "multiply_adds": MULTIPLY_ADDS[name] * 1_000_000,
            }
            for name in TOP1
        ],
    }


def _accuracy_number(row: Any) -> dict[str, Any]:
    said = {"variant": row.variant, "weights": row.weights, "size": row.size, "layout": row.layout, "note": row.note}
    said |= {"recipe": "tf-official", "dataset": "imagenet", "precision": "float32", "convention": ""}
    return _number(row.kind, said, "top1", row.top1, "%", 0.1) | {"decides": row.decides != "no"}


def _cost_number(row: Any, quantity: str) -> dict[str, Any]:
    said = {"variant": row.variant, "weights": "", "size": row.size, "layout": "", "note": row.note}
    said |= {"recipe": "", "dataset": "", "precision": ""}
    said["convention"] = row.convention if quantity == "operations" else row.counted_parameters
    step = getattr(row, f"{quantity}_step")
    return _number(row.kind, said, quantity, getattr(row, quantity), "", step) | {
        "counted_size": row.counted_size,
        "decides": row.decides_on(quantity),
    }


def _number(kind: str, said: dict[str, Any], quantity: str, value: float, unit: str, step: float) -> dict[str, Any]:
    model = f"efficientnet-{said['variant']}"
    return said | {
        "source": kind,
        "title": f"what {kind} says",
        "date": "2020-07",
        "model": model,
        "quantity": quantity,
        "value": value,
        "unit": unit,
        "step": step,
        "counted_size": said["size"],
    }


def _file(row: Any) -> dict[str, Any]:
    names = (
        "framework",
        "variant",
        "weights",
        "network",
        "url",
        "sha256",
        "size",
        "classes",
        "released",
        "recipe",
        "note",
        "source",
    )
    return {name: getattr(row, name) for name in names} | {
        "file": row.file_name,
        "bytes": getattr(row, "bytes", None) or None,
    }

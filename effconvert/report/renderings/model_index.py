"""The `model-index` block of Hugging Face's model cards, with measured accuracies for model hubs.

Its fields are those of huggingface_hub's EvalResult and of modelcard.md in huggingface/hub-docs. It has only our
measurements, no published numbers.
"""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from effconvert.report.pictures.publishers import of_imagenet
from effconvert.report.renderings.numbers_text import count
from effconvert.report.renderings.text import yaml_text

_TASK = {"type": "image-classification", "name": "Image Classification"}
_METRICS = {"Top 1 Accuracy": ("top1", 1), "Top 5 Accuracy": ("top5", 5)}


def build_model_index(networks: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the block: an entry for each measured network. Accuracies are fractions, as in `evaluate`."""
    return [
        {"name": network["name"], "results": [_result(network)]}
        for network in networks
        if network["accuracy"] and network["accuracy"]["top1"]["images"]
    ]


def model_index_file(document: Mapping[str, Any]) -> str | None:
    """Return model-index.yml for a card's front matter, None without measurements."""
    found = build_model_index(document["networks"])
    return yaml_text({"model-index": found}) if found else None


def dataset_name(network: Mapping[str, Any]) -> str:
    """Return the name of a network's data set (ImageNet-1k or the data's own), with the part that was used."""
    dataset, images = network["dataset"], network["accuracy"]["images"]
    name = "ImageNet-1k" if of_imagenet(network) else PurePath(dataset["path"]).name or dataset["path"]
    parts = [f"{count(images)} of {count(dataset['images'])} images"] if images < dataset["images"] else []
    if dataset["labels"] != "own" and not of_imagenet(network):
        parts.append(f"labels of {PurePath(dataset['labels']).name}")
    return f"{name} ({', '.join(parts)})" if parts else name


def _result(network: Mapping[str, Any]) -> dict[str, Any]:
    accuracy, recipe = network["accuracy"], network["recipe"] or {}
    known = of_imagenet(network)
    dataset: dict[str, Any] = {"type": "imagenet-1k" if known else "imagefolder", "name": dataset_name(network)}
    if known:
        dataset["split"] = "validation"
    dataset["args"] = {"images": accuracy["images"]}
    if recipe:
        dataset["args"] |= {"preprocessing": recipe["name"], "size": recipe["size"]}
    metrics = [
        {
            "type": "accuracy",
            "value": round(accuracy[key]["hits"] / accuracy[key]["images"], 6),
            "name": name,
            "args": {"k": k},
        }
        for name, (key, k) in _METRICS.items()
    ]
    return {"task": dict(_TASK), "dataset": dataset, "metrics": metrics}

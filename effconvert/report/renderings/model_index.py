"""The `model-index` block of Hugging Face's model cards, with measured accuracies for model hubs.

Its fields are those of huggingface_hub's EvalResult and of modelcard.md in huggingface/hub-docs. It has only our
measurements, no published numbers.
"""

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

from effconvert.report.contents.accuracy import Accuracy, Dataset, Proportion
from effconvert.report.contents.network import Network
from effconvert.report.contents.report import Report
from effconvert.report.renderings.numbers_text import count
from effconvert.report.renderings.text import yaml_text

_TASK = {"type": "image-classification", "name": "Image Classification"}
_METRICS = {"Top 1 Accuracy": ("top1", 1), "Top 5 Accuracy": ("top5", 5)}
IMAGENET_CLASSES = (1000, 1001)  # outputs of networks that were trained on ImageNet; some have a background class
FEWEST_IMAGES = 1000  # of fewer, an accuracy is known to three points at best, and a leader board shows no interval


def build_model_index(networks: Iterable[Network]) -> list[dict[str, Any]]:
    """Return the block: an entry for each network whose accuracy is `listable`, as fractions as in `evaluate`."""
    return [
        {"name": network.name, "results": [_result(network, network.accuracy)]}
        for network in networks
        if network.accuracy and listable(network)
    ]


def listable(network: Network) -> bool:
    """Return whether a list of models may show the accuracy: of FEWEST_IMAGES or more of ImageNet's validation images.

    Other images make no accuracy that is comparable, even where their folder is called imagenet.
    """
    accuracy, dataset = network.accuracy, network.dataset
    if not accuracy or not dataset:
        return False
    return accuracy.top1.images >= FEWEST_IMAGES and of_imagenet(accuracy, dataset)


def model_index_file(document: Report) -> str | None:
    """Return model-index.yml for a card's front matter, None without measurements."""
    found = build_model_index(document.networks)
    return yaml_text({"model-index": found}) if found else None


def dataset_name(network: Network) -> str:
    """Return the name of a network's data set (ImageNet-1k or the data's own), with the part that was used."""
    dataset, accuracy = network.dataset, network.accuracy
    if not dataset or not accuracy:
        return ""
    name = "ImageNet-1k" if of_imagenet(accuracy, dataset) else PurePath(dataset.path).name or dataset.path
    partly = accuracy.images < dataset.images
    parts = [f"{count(accuracy.images)} of {count(dataset.images)} images"] if partly else []
    if dataset.labels != "own" and not of_imagenet(accuracy, dataset):
        parts.append(f"labels of {PurePath(dataset.labels).name}")
    return f"{name} ({', '.join(parts)})" if parts else name


def of_imagenet(accuracy: Accuracy, dataset: Dataset) -> bool:
    """Return whether a measured accuracy is comparable with published ones: ImageNet's images and labels."""
    if not dataset.imagenet_validation or dataset.chosen == "subset":
        return False
    return accuracy.verdict != "not judged" or dataset.labels == "own"  # a file of labels may contain ImageNet's own


def _result(network: Network, accuracy: Accuracy) -> dict[str, Any]:
    recipe = network.recipe
    said: dict[str, Any] = {"type": "imagenet-1k", "name": dataset_name(network), "split": "validation"}
    said["args"] = {"images": accuracy.images}
    if recipe:
        said["args"] |= {"preprocessing": recipe.name, "size": recipe.size}
    return {"task": dict(_TASK), "dataset": said, "metrics": [_metric(accuracy, name) for name in _METRICS]}


def _metric(accuracy: Accuracy, name: str) -> dict[str, Any]:
    key, k = _METRICS[name]
    share: Proportion = getattr(accuracy, key)
    return {"type": "accuracy", "value": round(share.hits / share.images, 6), "name": name, "args": {"k": k}}

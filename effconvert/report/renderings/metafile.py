"""OpenMMLab's list of the networks: metafile.yml, for mmengine, mim and mmpretrain.

Its fields are those of configs/efficientnet/metafile.yml in mmpretrain 1.2.0. The results are our measurements, where
model-index.yml has them too.
"""

from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any

from effconvert.maps.layouts import find_layout, known_library
from effconvert.report.contents.network import Conversion, Network
from effconvert.report.contents.report import Report
from effconvert.report.naming import library_url
from effconvert.report.renderings.model_index import IMAGENET_CLASSES, dataset_name, listable
from effconvert.report.renderings.text import yaml_text

# The convention of mmpretrain's own table; multiply-adds for variants that it does not have.
_CONVENTIONS = ("mmpretrain-table", "multiply-adds")
_COLLECTION = "EfficientNet"
_PAPER = {
    "URL": "https://arxiv.org/abs/1905.11946v5",
    "Title": "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
}


def render_metafile(document: Report, readmes: Mapping[str, str]) -> str | None:
    """Return metafile.yml, None without networks. readmes: {id of a network: its card's file name}."""
    networks = document.networks
    if not networks:
        return None
    collection = {"Name": _COLLECTION, "Paper": _PAPER}
    imagenet = {file.url for file in document.published.files if file.classes in IMAGENET_CLASSES}
    models = [_model(network, readmes, imagenet) for network in networks]
    return yaml_text({"Collections": [collection], "Models": models})


def _model(network: Network, readmes: Mapping[str, str], imagenet: Collection[str]) -> dict[str, Any]:
    """Return the entry of a network; unknown values are left out, as OpenMMLab's own check requires.

    imagenet: the addresses of published weights that were trained on ImageNet.
    """
    trained = network.conversion and network.conversion.url in imagenet
    entries = {
        "Name": network.id,
        "Alias": network.name,
        "Metadata": _metadata(network) | ({"Training Data": "ImageNet-1k"} if trained else {}),
        "In Collection": _COLLECTION,
        "Results": _results(network),
        "Weights": PurePath(network.model.file).name,
        "Config": _config(network),
        "README": readmes.get(network.id),
        "Converted From": _origin(network.conversion),
    }
    return {name: value for name, value in entries.items() if value}


def _metadata(network: Network) -> dict[str, Any]:
    operations = network.cost.operations if network.cost else {}
    convention = next((name for name in _CONVENTIONS if name in operations), None)
    counted = {"FLOPs": operations[convention], "FLOPs Convention": convention} if convention else {}
    return {**counted, "Parameters": network.model.parameters, "Checks": network.summary.words}


def _results(network: Network) -> list[dict[str, Any]]:
    accuracy = network.accuracy
    if not accuracy or not listable(network) or accuracy.top1.percent is None or accuracy.top5.percent is None:
        return []
    metrics = {
        "Top 1 Accuracy": round(accuracy.top1.percent, 3),
        "Top 5 Accuracy": round(accuracy.top5.percent, 3),
    }
    return [{"Dataset": dataset_name(network), "Metrics": metrics, "Task": "Image Classification"}]


def _config(network: Network) -> str | None:
    """Return the library's own config for a file in its layout, with the size and the mean of the recipe."""
    variant, recipe = network.variant, network.recipe
    library = known_library(network.model.layout)
    if not library or not library.configs or not recipe:
        return None
    layout = find_layout(network.model.layout)
    names = [
        name.format(variant=layout.variants[variant])
        for build in layout.builds
        if not build.variants or variant in build.variants
        for name in build.names
    ]
    wanted = [f"-{recipe.size}px"] if "px" in "".join(names) else []
    normed = [name for name in names if ("01norm" in name) == (set(recipe.mean) == {127.5})] or names
    found = [name for name in normed if all(name.endswith(end) for end in wanted)]
    return library.configs.replace("{name}", found[0]) if found else None


def _origin(conversion: Conversion | None) -> dict[str, Any]:
    """Return the origin of the weights: the address, or else the source files."""
    if conversion is None:
        return {}
    weights = conversion.url or ", ".join(conversion.source_sha256)
    said = {"Weights": weights, "Code": library_url(conversion.layout), "SHA256": dict(conversion.source_sha256)}
    return {name: value for name, value in said.items() if value}

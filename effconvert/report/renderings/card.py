"""Model card of each network: origin of its weights, checks, how to use it, how to reproduce the results.

The front matter is for the Hugging Face hub (modelcard.md in huggingface/hub-docs).
"""

import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from effconvert.architecture.facts import complete
from effconvert.architecture.variants import find_variant
from effconvert.conversion.loading_code import PrintedCode, printed_code
from effconvert.conversion.targets import choose_target
from effconvert.errors import LayoutMismatch
from effconvert.maps.layouts import known_library
from effconvert.options import Options
from effconvert.preprocessing.recipes import Recipe
from effconvert.reference_tables.publishers import read_publishers
from effconvert.report.contents.accuracy import Dataset
from effconvert.report.contents.network import Network
from effconvert.report.contents.plain_values import to_plain
from effconvert.report.contents.published import File
from effconvert.report.contents.report import Report
from effconvert.report.renderings.markdown import render_template
from effconvert.report.renderings.model_index import FEWEST_IMAGES, IMAGENET_CLASSES, build_model_index
from effconvert.report.renderings.text import yaml_text
from effconvert.validate.evaluation.jobs import LIMIT, SUBSET

_UNKNOWN = "unknown"
_IMAGENET = "imagenet-1k"


def card_names(document: Report) -> dict[str, str]:
    """Return {id of a network: file name of its card}."""
    ids = [network.id for network in document.networks]
    return {ids[0]: "card.md"} if len(ids) == 1 else {one: f"card-{one}.md" for one in ids}


def cards(document: Report) -> dict[str, str]:
    """Return {file name: card} for every network."""
    names = card_names(document)
    files = {file.url: file for file in document.published.files}
    return {names[network.id]: _card(network, files) for network in document.networks}


def _card(network: Network, files: Mapping[str, File]) -> str:
    origin = files.get(network.conversion.url if network.conversion and network.conversion.url else "")
    return render_template(
        "card.md.jinja",
        network=network,
        origin=origin,
        matter=yaml_text(_front_matter(network, origin)),
        own=_own_code(network, PurePath(network.model.file).name),
        command=_command(network, origin),
        fewest_images=FEWEST_IMAGES,
    )


def _front_matter(network: Network, origin: File | None) -> dict[str, Any]:
    """Return the metadata for hubs. origin: the published file of the weights."""
    dataset = network.dataset
    trained = origin is not None and origin.classes in IMAGENET_CLASSES
    measured = build_model_index([network])
    library = known_library(network.model.layout)
    entries = {
        "license": read_publishers()[origin.framework].licence if origin else _UNKNOWN,
        "library_name": library.hub_tag if library else "",
        "pipeline_tag": "image-classification" if network.model.classes else "image-feature-extraction",
        "tags": ["efficientnet", f"efficientnet-{network.variant}", "effconvert"],
        "datasets": [_IMAGENET] if trained or (dataset and dataset.imagenet_validation) else None,
        "metrics": ["accuracy"] if measured else None,
        "model-index": measured,
    }
    return {name: value for name, value in entries.items() if value}


def _own_code(network: Network, file: str) -> PrintedCode:
    """Return the loading code of the file's library, or empty code if there is none."""
    model, size = network.model, network.cost.size if network.cost else 0
    try:
        variant = find_variant(network.variant)
        target = choose_target(model.layout, variant, complete(model.facts), Options(), file)
    except LayoutMismatch:  # a layout that effconvert only reads, or a network that the library does not have
        return PrintedCode("")
    recipe = Recipe.from_dict(to_plain(network.recipe)) if network.recipe else None
    return printed_code(target, file, recipe, size)


def _data(dataset: Dataset | None) -> list[str]:
    """Return the options for the images; for ImageNet's with a placeholder path."""
    if not dataset:
        return ["--data", "imagenet/val"]
    words = ["--data", "imagenet/val" if dataset.imagenet_validation else dataset.path]
    if dataset.chosen == LIMIT:
        words += ["--limit", str(dataset.evaluated)]
    if dataset.chosen == SUBSET:
        words += ["--subset", "LIST"]
    return [*words, "--partial"] if dataset.missing else words


def _command(network: Network, origin: File | None) -> str:
    """Return the command that converts and measures the published weights, or measures the file."""
    recipe, source = network.recipe, network.conversion
    words = ["effconvert", "validate", *_data(network.dataset)]
    if origin and source and not source.options and network.model.layout == "canonical":
        words += ["--framework", origin.framework, "--variant", network.variant, "--weights", origin.weights]
    else:
        words.append(PurePath(network.model.file).name)
    if recipe:
        words += ["--recipe", recipe.name, "--size", str(recipe.size)]
    return shlex.join(words)

"""A model card for each network: where its weights come from, what was checked, how to use it and to do it again.

The front matter is what Hugging Face's hub reads (modelcard.md in huggingface/hub-docs).
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from effconvert.architecture.canonical import CANONICAL
from effconvert.architecture.facts import complete
from effconvert.architecture.variants import find_variant
from effconvert.conversion.loading_code import PrintedCode, printed_code
from effconvert.conversion.targets import choose_target
from effconvert.errors import LayoutMismatch
from effconvert.maps.layouts import known_library
from effconvert.options import Options
from effconvert.preprocessing.recipes import Recipe
from effconvert.reference_tables.publishers import read_publishers
from effconvert.report.naming import library_name
from effconvert.report.renderings.markdown import left_behind, render_part
from effconvert.report.renderings.markdown_text import code, code_block, escape, items, link, page
from effconvert.report.renderings.model_index import build_model_index, dataset_name
from effconvert.report.renderings.network_views import facts_text, settings
from effconvert.report.renderings.text import yaml_text
from effconvert.validate.evaluation.jobs import LIMIT, SUBSET

Network = Mapping[str, Any]
Published = Mapping[str, Any]

_UNKNOWN = "unknown"
_IMAGENET = "imagenet-1k"


def card_names(document: Mapping[str, Any]) -> dict[str, str]:
    """Return {id of a network: file name of its card}."""
    ids = [network["id"] for network in document["networks"]]
    return {ids[0]: "card.md"} if len(ids) == 1 else {one: f"card-{one}.md" for one in ids}


def cards(document: Mapping[str, Any]) -> dict[str, str]:
    """Return {file name: card} of every network."""
    names = card_names(document)
    files = {file["url"]: file for file in document["published"]["files"]}
    return {names[network["id"]]: _card(network, files) for network in document["networks"]}


def _card(network: Network, files: Mapping[str, Published]) -> str:
    source = network["conversion"] or {}
    origin = files.get(source.get("url") or "")
    parts = (
        ("Where it comes from", _source(network, origin)),
        ("What was checked", render_part("verdicts", network)),
        ("Accuracy", page(render_part("accuracy", network), _measuring(network)).strip()),
        ("Cost", render_part("cost", network)),
        ("Layers", render_part("layers", network)),
        ("How to use it", _use(network)),
        ("How to do it again", code_block(_command(network, origin), "sh")),
        ("Cautions", items(escape(caution) for caution in network["cautions"])),
        ("Limits", items(_limits(network, origin))),
    )
    shown = [f"## {title}\n\n{text}" for title, text in parts if text]
    matter = f"---\n{yaml_text(_front_matter(network, origin))}---"
    return page(matter, f"# {escape(network['name'])}", f"{escape(network['sentence'])}.", *shown)


def _front_matter(network: Network, origin: Published | None) -> dict[str, Any]:
    """Return what hubs read. origin: the published file that the weights come from."""
    dataset = network["dataset"] or {}
    trained = origin is not None and origin["classes"] in (1000, 1001)
    measured = build_model_index([network])
    library = known_library(network["model"]["layout"])
    entries = {
        "license": read_publishers()[origin["framework"]].licence if origin else _UNKNOWN,
        "library_name": library.hub_tag if library else "",
        "pipeline_tag": "image-classification" if network["model"]["classes"] else "image-feature-extraction",
        "tags": ["efficientnet", f"efficientnet-{network['variant']}", "effconvert"],
        "datasets": [_IMAGENET] if trained or dataset.get("imagenet_validation") else None,
        "metrics": ["accuracy"] if measured else None,
        "model-index": measured,
    }
    return {name: value for name, value in entries.items() if value}


def _source(network: Network, origin: Published | None) -> str:
    source, model = network["conversion"], network["model"]
    lines = [f"File: {code(PurePath(model['file']).name)}, layout {code(model['layout'])}, {_parameters(model)}"]
    lines += _hashes("SHA-256", model["sha256"])
    if source:
        whose = "published weights" if origin else "weights"
        library = escape(library_name(source["layout"]))
        where = f": {link(source['url'])}" if source["url"] else ""
        lines.append(
            f"Converted from {whose} of {library} ({code(source['layout'])}), {escape(source['taken'])}{where}"
        )
        lines += _hashes("SHA-256 of the source", source["source_sha256"])
        if source["moved"] is not None:
            left = left_behind(source["left_behind"] or {})
            lines.append(f"{source['moved']:,} tensors moved; left behind: {left or 'none'}")
        if source["map_sha256"]:
            lines.append(f"SHA-256 of the map that they were moved by: {code(source['map_sha256'])}")
        lines.append(f"Options of the conversion: {escape(settings(source['options'])) or 'none'}")
    return items(lines)


def _hashes(label: str, hashes: Mapping[str, str]) -> list[str]:
    return [f"{label}: {code(sha256)} ({code(file)})" for file, sha256 in hashes.items()]


def _parameters(model: Network) -> str:
    said = f"{model['parameters']:,} parameters, {model['classes']:,} classes"
    return f"{said}, {escape(model['dtype'])}" if model["dtype"] else said


def _measuring(network: Network) -> str:
    """Return what the accuracy was measured on and with."""
    dataset, run = network["dataset"], network["provenance"]
    if network["accuracy"] is None or dataset is None:
        return ""
    how = {**(run["computing"] or {}), **run["versions"]}
    said = [f"Measured on {escape(dataset_name(network))}"]
    said += [f"fingerprint {code(dataset['fingerprint'])}"] if dataset["fingerprint"] else []
    return f"{', '.join(said)}, with {escape(settings(how))}."


def _use(network: Network) -> str:
    """Return Python that loads the file: into the canonical network, and into its own library's."""
    model, recipe = network["model"], network["recipe"]
    file = PurePath(model["file"]).name
    quoted = json.dumps(file, ensure_ascii=False)
    canonical = f"import effconvert\n\nnetwork = effconvert.load_model({quoted})  # in PyTorch"
    parts = [code_block(canonical, "python")]
    own = _own_code(network, file)
    if own.library != CANONICAL:
        parts += ["Or by the library whose layout it has:", code_block(own.text, "python")]
        parts += [f"{escape(own.remark)}."] if own.remark else []
    if recipe:
        steps = settings({key: value for key, value in recipe.items() if key != "name" and value})
        parts.append(f"Images are prepared as {code(recipe['name'])} does: {escape(steps)}.")
    parts.append(f"What the weights assume of any network that runs them: {escape(facts_text(model['facts']))}.")
    return page(*parts).strip()


def _own_code(network: Network, file: str) -> PrintedCode:
    """Return the code of the library whose layout the file has; this project's own where it has none to give."""
    model, size = network["model"], (network["cost"] or {"size": 0})["size"]
    try:
        variant = find_variant(network["variant"])
        target = choose_target(model["layout"], variant, complete(model["facts"]), Options(), file)
    except LayoutMismatch:  # a layout that is only read, or a network that its library does not have
        return PrintedCode("")
    recipe = Recipe.from_dict(network["recipe"]) if network["recipe"] else None
    return printed_code(target, file, recipe, size)


def _data(dataset: Mapping[str, Any] | None) -> list[str]:
    """Return the options that name the images; ImageNet's are wherever the reader has them."""
    if not dataset:
        return ["--data", "imagenet/val"]
    words = ["--data", "imagenet/val" if dataset["imagenet_validation"] else dataset["path"]]
    if dataset["chosen"] == LIMIT:
        words += ["--limit", str(dataset["evaluated"])]
    if dataset["chosen"] == SUBSET:
        words += ["--subset", "LIST"]
    return [*words, "--partial"] if dataset["missing"] else words


def _command(network: Network, origin: Published | None) -> str:
    """Return the command that converts what was published and measures it, or measures the file."""
    recipe, source = network["recipe"], network["conversion"] or {}
    words = ["effconvert", "validate", *_data(network["dataset"])]
    if origin and not source["options"] and network["model"]["layout"] == "canonical":
        words += ["--framework", origin["framework"], "--variant", network["variant"], "--weights", origin["weights"]]
    else:
        words.append(PurePath(network["model"]["file"]).name)
    if recipe:
        words += ["--recipe", recipe["name"], "--size", str(recipe["size"])]
    return shlex.join(words)


def _limits(network: Network, origin: Published | None) -> list[str]:
    """Return what the checks do not say."""
    lines = []
    if not network["verifications"]:
        lines.append("It was not compared with its source's own framework.")
    if network["accuracy"] is None:
        lines.append("Its accuracy was not measured; that of its source is no promise for this file.")
    elif network["accuracy"]["images"] < network["dataset"]["images"]:
        lines.append(
            f"Its accuracy was measured on {network['accuracy']['images']:,} images: the interval says how sure it is."
        )
    if origin is None:
        lines.append("Who published the weights, and under which licence, is not known here.")
    else:
        lines.append("The weights belong to those who published them; the licence is that of their project.")
    lines.append("It knows the classes that it was trained on and nothing else, and has the biases of that data.")
    return lines

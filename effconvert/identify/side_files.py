"""Evidence beside the weights: Hugging Face's and timm's config.json, Keras's graph and normalisation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant
from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.checkpoint import Checkpoint
from effconvert.identify.candidates import Reading
from effconvert.identify.description import Description
from effconvert.identify.network_names import read_config
from effconvert.preprocessing.recipes import UNKNOWN, Recipe, gray, recipe_for, unknown


@dataclass(frozen=True)
class Companion:
    """The contents of a file's companions: facts, the preprocessing, warnings, names of the classes.

    assumed: the names of facts that a companion would tell, but it is missing. tells_head: whether the layers before
    the classifier are checked, or mentioned in the warnings. assumed_head: the assumption about them, which is also
    among the warnings.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | None = None
    cautions: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    assumed: frozenset[str] = frozenset()
    tells_head: bool = False
    assumed_head: str = ""


def companion(checkpoint: Checkpoint, reading: Reading, description: Description | None) -> Companion:
    """Return the companion of `checkpoint`; `reading` is the result from its tensors.

    If the file has a description, only values that a user may have edited are read.

    Raises UnreadableCheckpoint for a damaged companion, LayoutMismatch for one that contradicts the tensors.
    """
    library = reading.layout.library if reading.layout else None
    if library and library.side_file == "huggingface":
        return _huggingface(checkpoint, reading.variant, reading.facts, description)
    if library is None or description:
        return Companion()
    read = {"timm": _timm, "keras": _keras, "": _nothing}[library.side_file]
    found = replace(read(checkpoint, reading), tells_head=library.side_file == "keras")
    return replace(found, cautions=(*found.cautions, library.caution)) if library.caution else found


def _layout_name(reading: Reading) -> str:
    return reading.layout.name if reading.layout else ""


def _nothing(checkpoint: Checkpoint, reading: Reading) -> Companion:
    return Companion()


def _huggingface(checkpoint: Checkpoint, variant: Variant, facts: Facts, description: Description | None) -> Companion:
    from effconvert.formats.huggingface.config import contradictions, read_config

    said = read_config(checkpoint.files[0].parent)
    if said is None and description:
        return Companion()
    if said is None:
        words = "there is no config.json beside the file: bn_eps is assumed to be the library's"
        return Companion(cautions=(words,), assumed=frozenset({"bn_eps"}))
    if problems := contradictions(said, variant, facts):
        raise LayoutMismatch(listing(f"{checkpoint.path}: its config.json is for another network:", problems))
    found = {"bn_eps": said.facts.bn_eps, "activation": said.facts.activation}
    if description is None:
        return Companion(found, said.recipe, said.cautions, said.labels)
    edited = {name: value for name, value in found.items() if value != getattr(description.facts, name)}
    words = ", ".join(f"{name} is {value} in config.json" for name, value in edited.items())
    return Companion(
        edited, cautions=(f"{words}, which was edited after the conversion and is taken",) if edited else ()
    )


def _timm(checkpoint: Checkpoint, reading: Reading) -> Companion:
    """Read the preprocessing in a config.json of timm's repositories: in units of pixels from 0 to 1.

    If there is neither one number for each channel nor one for all, timm takes the average of the numbers. Three
    numbers for many channels are not used: timm would average them too, but probably they are not meant.
    """
    config = read_config(checkpoint.path)
    said = config.get("pretrained_cfg")
    if not isinstance(config.get("architecture"), str) or not isinstance(said, dict):
        return Companion()
    usual = recipe_for(_layout_name(reading), reading.variant.name)
    try:
        size = int(said["input_size"][-1])
        recipe = replace(
            usual,
            name=_layout_name(reading),
            size=size,
            shorter_side=math.floor(size / float(said["crop_pct"])),
            resize={"bicubic": "pil-bicubic", "bilinear": "pil-bilinear"}[said["interpolation"]],
            mean=tuple(255 * float(value) for value in said["mean"]),
            std=tuple(255 * float(value) for value in said["std"]),
            channels=UNKNOWN,
        )
        recipe = _of_channels(recipe, reading.facts.in_channels)
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError, LayoutMismatch):
        return Companion(cautions=("the preprocessing in config.json is not a known one; timm's usual one is assumed",))
    return Companion(recipe=recipe)


def _keras(checkpoint: Checkpoint, reading: Reading) -> Companion:
    from effconvert.formats.keras.check import Network
    from effconvert.formats.keras.file import KerasCheckpoint
    from effconvert.formats.keras.normalization import find_normalization

    scope, channels = reading.scope.root, reading.facts.in_channels
    facts: Mapping[str, Any] = {}
    assumed_head = _of_weights_alone(checkpoint, reading)
    cautions = [assumed_head] if assumed_head else []
    # The tensors may have been saved by another framework, without a graph.
    if isinstance(checkpoint, KerasCheckpoint):
        if not reading.missing:
            classifier, whole = _keras_classifier(reading), not reading.unknown and not reading.outside
            network = Network(reading.variant, classifier, reading.facts.head_conv, scope, whole)
            told = checkpoint.check_graph(network)
            facts, cautions = told.facts, [*cautions, *told.cautions]
        found = checkpoint.normalization(scope, channels)
    else:
        found = find_normalization(checkpoint, None, scope, channels)
    if found is None:
        cautions.append("the file does not tell the normalisation of pixels; the usual one is assumed")
        return Companion(facts, cautions=tuple(cautions), assumed_head=assumed_head)
    usual = recipe_for(_layout_name(reading), reading.variant.name)
    recipe = _of_channels(replace(usual, mean=found.mean, std=found.std, channels=UNKNOWN), channels)
    if found.topology == "keras-imagenet" and not found.from_graph:
        cautions.append(
            "its normalization holds std in place of the variance, as in Keras's published weights: their graph, which "
            "divides once more, is assumed; a network built with weights=None gives other outputs"
        )
    facts = {"normalization": found.topology, **facts}
    return Companion(facts, recipe, tuple(cautions), assumed_head=assumed_head)


def _of_weights_alone(checkpoint: Checkpoint, reading: Reading) -> str:
    """Return the assumptions for a file without a graph; "" if it is a usual file of keras.applications."""
    from effconvert.formats.keras.check import assumed_of_weights
    from effconvert.formats.keras.file import KerasCheckpoint

    classifier = _keras_classifier(reading)
    own = bool(classifier) and classifier.rpartition("/")[2] != "predictions"
    if not isinstance(checkpoint, KerasCheckpoint):
        # A bundle of a Keras graph does not list layers, so its classifier counts as the user's.
        return assumed_of_weights(reading.variant, classifier, bool(classifier), ())
    if checkpoint.has_graph:
        return ""
    own = own or checkpoint.is_outside(classifier)
    # A layer outside all models may be before a classifier outside the network's model.
    root, outer = reading.scope.root, not classifier.startswith(reading.scope.root)
    listed = [one for one in checkpoint.unweighted if one.scope.startswith(root) or (outer and not one.scope)]
    return assumed_of_weights(reading.variant, classifier, own, listed)


def _keras_classifier(reading: Reading) -> str:
    """Return the name of the classifier's layer in the file; "" if there is none."""
    weight = next((move.source for move in reading.moves if move.target == "head.fc.weight"), "")
    found = [held[weight] for held in reading.sets.names.values() if weight in held]
    return found[0].rpartition("/")[0] if found else ""


def _of_channels(said: Recipe, channels: int) -> Recipe:
    """Return the recipe `said`, which does not tell its channels, for images with `channels`."""
    if channels == 1:
        return gray(said)
    if said.in_channels == 1:
        said = replace(said, mean=said.mean * channels, std=said.std * channels)
    if channels == 3:
        return replace(said, channels="rgb")
    return said if said.in_channels == channels else unknown(said, channels)

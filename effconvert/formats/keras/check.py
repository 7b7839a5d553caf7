"""Checks that the graph of a Keras model is that of its network, and says what is assumed of a file without a graph."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effconvert.architecture.variants import Variant
from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.keras.config import KERAS, model_config
from effconvert.formats.keras.graph import Graph
from effconvert.formats.keras.graph_comparison import Comparison
from effconvert.formats.keras.graph_decisions import graph_facts, halved, odd_pictures, picture_size
from effconvert.formats.keras.names import Unweighted, class_of
from effconvert.formats.keras.plain_graph import POOLING, is_inert, simplify_graph
from effconvert.formats.keras.surroundings import after, before


@dataclass(frozen=True)
class Network:
    """What the tensors of a file tell of its network.

    classifier: the layer that is its classifier, as its tensors are called, "" where it has none. head: whether it has
    the head's convolution. scope: the models within the model that it lies in, such as `outer/`, where the file holds
    several networks. whole: whether every tensor of the file is explained.
    """

    variant: Variant
    classifier: str
    head: bool = True
    scope: str = ""
    whole: bool = True


@dataclass(frozen=True)
class Findings:
    """What a graph tells: facts of the network, and what a user should know."""

    facts: Mapping[str, Any]
    cautions: tuple[str, ...] = ()


def check_graph(graph: Graph, network: Network, path: Path) -> Findings:
    """Return what `graph`, of the file `path`, tells of `network`.

    Raises LayoutMismatch with the name of every layer that computes otherwise than keras.applications' network does.
    """
    plain, size = simplify_graph(graph), picture_size(graph, network.scope)
    compared = Comparison(plain, network.variant, network.head, network.scope)
    first = before(compared)
    classifier, end = network.classifier.rpartition("/")[2], halved(size, len(compared.strided))
    behind = after(plain, compared, classifier, network.whole, end)
    facts = dict(graph_facts(compared, size))
    problems = [*compared.problems, *first.problems, *behind.problems]
    if problems:
        other = f"its graph computes otherwise than keras.applications' {network.variant.name}"
        raise LayoutMismatch(listing(f"{path}: {other}:", problems))
    cautions = [*first.cautions, *behind.cautions]
    usual = network.variant.resolution
    open_size = any(call.settings["pads"] != "same" for call in compared.strided) and None in size
    if open_size and odd_pictures((usual, usual), len(compared.strided)):
        cautions.append(
            "its input has no size, so that Keras pads as for pictures of even height and width; here each picture is "
            f"padded for its own size, which differs where one between the layers is odd, as at {usual} pixels"
        )
    return Findings(facts, tuple(cautions))


# What is there in every network, a session's second one with a number; and models within the model.
_ANYWHERE = {"inputlayer", "rescaling", "normalization", "functional", "sequential", "model"}
_MEAN = "avg_pool"  # how keras.applications calls what follows a network without a classifier, for pooling="avg"


def assumed_of_weights(variant: Variant, classifier: str, own: bool, unweighted: Iterable[Unweighted]) -> str:
    """Return in words what is assumed of a file of weights alone, "" where it is just what keras.applications writes.

    classifier: the layer, "" for a network without one. own: whether a user put it there. unweighted: the layers
    without weights that the file lists.
    """
    strangers = _strangers(variant, classifier, unweighted)
    if not own and not strangers:
        return ""
    words = "its layers stand as in keras.applications"
    if own:
        words = (
            f"its classifier {classifier!r} reads the mean over the picture ({POOLING}), and nothing between computes"
        )
    if strangers:
        end = "classifier" if classifier else "features"
        words += f"; but it lists {', '.join(strangers)}: on the way to its {end}, those would make it another network"
    return f"the file holds weights and no graph. Assumed: {words} (a whole model, saved by model.save, would tell)"


def _strangers(variant: Variant, classifier: str, unweighted: Iterable[Unweighted]) -> list[str]:
    """Return the layers that compute and that keras.applications' network does not have."""
    expected = {layer["name"] for layer in model_config(variant, 1, KERAS)["config"]["layers"]}
    kinds = {layer["class_name"].lower() for layer in model_config(variant, 1, KERAS)["config"]["layers"]}
    found, rescalings = [], 0
    for layer in unweighted:
        name, kind = layer.name, (layer.kind or _plain(layer.name)).replace("_", "")
        rescalings += kind == "rescaling"
        if name in expected or is_inert(kind) or kind == POOLING.lower() or (not classifier and name == _MEAN):
            continue
        if (kind in _ANYWHERE and (kind != "rescaling" or rescalings == 1)) or (not name and kind in kinds):
            continue
        found.append(name or layer.kind)
    return found


def _plain(name: str) -> str:
    """Return the class that Keras calls a layer `global_max_pooling2d_1` after, in the same letters."""
    plain = class_of(name)
    return "input_layer" if plain == "input" else plain

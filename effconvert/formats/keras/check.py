"""Check of a Keras model's graph against that of its network, and assumptions for a file without a graph."""

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
    """The network of a file, as its tensors tell it.

    classifier: the name of the classifier's layer; "" if there is none. head: whether it has the head's convolution.
    scope: the nested models that hold it, such as `outer/`, if the file holds several networks. whole: whether every
    tensor of the file is explained.
    """

    variant: Variant
    classifier: str
    head: bool = True
    scope: str = ""
    whole: bool = True


@dataclass(frozen=True)
class Findings:
    """Results from a graph: facts of the network, and warnings."""

    facts: Mapping[str, Any]
    cautions: tuple[str, ...] = ()


def check_graph(graph: Graph, network: Network, path: Path) -> Findings:
    """Return what `graph` of the file `path` tells about `network`.

    Raises LayoutMismatch with the name of every layer that differs from keras.applications' network.
    """
    plain, size = simplify_graph(graph), picture_size(graph, network.scope)
    compared = Comparison(plain, network.variant, network.head, network.scope)
    first = before(compared)
    classifier, end = network.classifier.rpartition("/")[2], halved(size, len(compared.strided))
    behind = after(plain, compared, classifier, network.whole, end)
    facts = dict(graph_facts(compared, size))
    problems = [*compared.problems, *first.problems, *behind.problems]
    if problems:
        other = f"its graph differs from that of keras.applications' {network.variant.name}"
        raise LayoutMismatch(listing(f"{path}: {other}:", problems))
    cautions = [*first.cautions, *behind.cautions]
    usual = network.variant.resolution
    open_size = any(call.settings["pads"] != "same" for call in compared.strided) and None in size
    if open_size and odd_pictures((usual, usual), len(compared.strided)):
        cautions.append(
            "its input has no size, so that Keras pads as for an even height and width; here the padding follows "
            f"the real size, which differs if a feature map has an odd size, as at {usual} pixels"
        )
    return Findings(facts, tuple(cautions))


# Layers that every network has (in a session's second network with a number), and nested models.
_ANYWHERE = {"inputlayer", "rescaling", "normalization", "functional", "sequential", "model"}
_MEAN = "avg_pool"  # keras.applications' name of the pooling after a network without a classifier (pooling="avg")


def assumed_of_weights(variant: Variant, classifier: str, own: bool, unweighted: Iterable[Unweighted]) -> str:
    """Return the assumptions for a file of weights without a graph; "" if it is a usual file of keras.applications.

    classifier: the layer; "" for a network without one. own: whether the classifier is the user's. unweighted: the
    layers without weights that the file lists.
    """
    strangers = _strangers(variant, classifier, unweighted)
    if not own and not strangers:
        return ""
    words = "its layers are in the order of keras.applications"
    if own:
        words = f"its classifier {classifier!r} reads the mean over the feature map ({POOLING}) and nothing else"
    if strangers:
        end = "classifier" if classifier else "features"
        words += f"; but it lists {', '.join(strangers)}: before its {end}, they would make it another network"
    return f"the file holds weights and no graph. Assumed: {words} (a whole model, saved by model.save, would tell)"


def _strangers(variant: Variant, classifier: str, unweighted: Iterable[Unweighted]) -> list[str]:
    """Return the layers with an effect that keras.applications' network does not have."""
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
    """Return the class in a layer's default name, such as `global_max_pooling2d_1`, in the same letters."""
    plain = class_of(name)
    return "input_layer" if plain == "input" else plain

"""Checks that the graph of a Keras model is that of its network, and says what it decides beside the weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effconvert.architecture.variants import Variant
from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.keras.comparison import Comparison
from effconvert.formats.keras.facts import graph_facts, halved, odd_pictures, picture_size
from effconvert.formats.keras.graph import Graph
from effconvert.formats.keras.plain_graph import plain_graph
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
    plain, size = plain_graph(graph), picture_size(graph, network.scope)
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

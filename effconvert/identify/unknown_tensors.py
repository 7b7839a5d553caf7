"""Unknown tensors: the classifier under any name, and the place of every other one in the network.

Shapes tell little, so the rules are strict: a tensor that may act before the pooling is never left behind like a head.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from effconvert.architecture.variants import Variant, head_channels
from effconvert.formats.checkpoint import Shape
from effconvert.identify.scopes import Scope
from effconvert.identify.tensor_names import BOUNDARIES
from effconvert.identify.weight_sets import WeightSets
from effconvert.maps.moves import Ends, Move

# The place in words of a tensor that certainly acts after the pooling.
BEHIND = ("after the pooled features", True)
# {name in its set: {set: name in the file}}
Held = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Classifier:
    """The names and axes of a layout's classifier.

    layer: its name without a scope. weight, bias: the names of its two tensors in the layer. reads: the input axis of
    the weight. width: the number of input features.
    """

    layer: str
    weight: str
    bias: str
    reads: int
    width: int

    @property
    def names(self) -> tuple[str, str]:
        """The full names of its tensors."""
        return self.layer + self.weight, self.layer + self.bias


@dataclass(frozen=True)
class Linear:
    """A linear layer that reads the pooled features.

    key: its name without the prefix of its set. layers: {set: its name in the file}. weight, bias: {set: name in the
    file} of its two tensors.
    """

    key: str
    layers: Mapping[str, str]
    weight: Mapping[str, str]
    bias: Mapping[str, str]

    @property
    def name(self) -> str:
        """Its name in the file, in the first set."""
        return next(iter(self.layers.values()))

    @property
    def files(self) -> set[str]:
        """The names of its tensors in the file, for every set."""
        return {*self.weight.values(), *self.bias.values()}

    def is_called(self, name: str) -> bool:
        """Return whether the user may mean this layer by `name`."""
        return name in {self.key, *self.layers.values()}

    def is_called_in_its_dict(self, name: str) -> bool:
        """Return whether the layer has this `name` in its dict."""
        return name in {layer.rpartition("/")[2] for layer in self.layers.values()}


def classifier_of(ends: Ends, variant: Variant) -> Classifier:
    """Return the names of the classifier of `variant` in a layout with these `ends`."""
    weight, bias = (ends.names[f"head.fc.{tensor}"] for tensor in ("weight", "bias"))
    layer = layer_of(weight)
    return Classifier(
        layer=layer,
        weight=weight.removeprefix(layer),
        bias=bias.removeprefix(layer),
        reads=ends.reads,
        width=head_channels(variant),
    )


def linear_layers(scope: Scope, inside: Held, shapes: Mapping[str, Shape], own: Classifier) -> Iterator[Linear]:
    """Yield every linear layer that reads the pooled features, among the unknown tensors `inside` the root or outside.

    shapes: {name in the file: shape}. A layer counts if every set of weights has it, with the same number of classes.
    """
    sets = {chosen for chosen, held in scope.sets.names.items() if held}  # a bundle may hold no averages
    for held in (inside, scope.strangers):
        for name, weights in held.items():
            layer = layer_of(name)
            separator, variable = name[len(layer) : len(layer) + 1], name[len(layer) + 1 :]
            biases = held.get(f"{layer}{separator}{own.bias[1:]}", {})
            if variable != own.weight[1:] or not weights.keys() == biases.keys() == sets:
                continue
            classes = {_classes(shapes[file], shapes[biases[chosen]], own) for chosen, file in weights.items()}
            if len(classes) == 1 and classes != {0}:
                # The suffix of an average is after the tensor's name, so it is not a layer.
                layers = {kind: layer if scope.sets.average else layer_of(file) for kind, file in weights.items()}
                yield Linear(layer, layers, weights, biases)


def is_own(scope: Scope, own: Classifier, name: str) -> bool:
    """Return whether the user means the layout's own classifier by `name`, and the file has it."""
    held = [layer_of(names[own.names[0]]) for names in scope.sets.names.values() if own.names[0] in names]
    return bool(held) and name in {own.layer, *held}


def taking(sets: WeightSets, own: Classifier, found: Linear) -> WeightSets:
    """Return the sets with the layer `found` under the names of the layout's own classifier."""
    names = {}
    for chosen, held in sets.names.items():
        others = {name: file for name, file in held.items() if file not in found.files}
        own_names = {own.names[0]: found.weight[chosen], own.names[1]: found.bias[chosen]} if held else {}
        names[chosen] = {**others, **own_names}
    return replace(sets, names=names)


def placed(unknown: Mapping[str, Shape], own: Classifier, moves: tuple[Move, ...]) -> dict[str, tuple[str, bool]]:
    """Return {name: (its place in words, whether it certainly acts after the pooled features)}.

    unknown: {name without the root: shape}, in file order. moves: those of the layout's network.
    """
    around = Surroundings(own, moves)
    result: dict[str, tuple[str, bool]] = {}
    open_names: dict[str, Shape] = {}
    for name, shape in unknown.items():
        if words := _within(name, around):
            result[name] = (words, False)
        elif _is_beside_classifier(name, around):
            result[name] = BEHIND
        else:
            open_names[name] = shape
    classifiers = [shape for name, shape in unknown.items() if own.layer in _ancestors(name)]
    classifiers += [move.source_shape for move in moves if layer_of(move.source) == own.layer]
    widths = {own.width, *(shape[1 - own.reads] for shape in classifiers if reads(shape, own) == own.width)}
    return {**result, **_behind(open_names, own, widths)}


@dataclass(frozen=True)
class Surroundings:
    """The layers of a network before its classifier, computed once for all tensors that are looked for in them."""

    own: Classifier
    moves: tuple[Move, ...]

    @cached_property
    def layers(self) -> frozenset[str]:
        """The names of the layers."""
        return frozenset(layer_of(move.source) for move in self.moves) - {self.own.layer}

    @cached_property
    def modules(self) -> frozenset[str]:
        """The outermost modules that hold the layers."""
        return frozenset(_top(layer) for layer in self.layers)


def is_within(name: str, around: Surroundings) -> bool:
    """Return whether the tensor `name`, without the root, is among the layers before the classifier."""
    return bool(_within(name, around))


def reads(shape: Shape, own: Classifier) -> int:
    """Return the number of inputs of a linear layer with a weight of this `shape`; 0 for any other layer."""
    return shape[own.reads] if len(shape) == 2 else 0


@lru_cache(maxsize=1 << 14)  # asked for the names of a network again with every candidate
def layer_of(name: str) -> str:
    """Return the name of the layer that holds the tensor `name`."""
    return name[: max(0, *(name.rfind(boundary) for boundary in BOUNDARIES))]


def _within(name: str, around: Surroundings) -> str:
    """Return the place of a tensor among the network's layers; "" if it is not among them."""
    own = around.own.layer
    beside = own[: len(layer_of(own)) + 1] if layer_of(own) else ""
    if layer := next((layer for layer in _ancestors(name) if layer in around.layers), ""):
        return f"a part of {layer}, which uses it"
    if _is_beside_classifier(name, around) or (beside and name.startswith(beside)):
        return ""
    among = _top(name) in around.modules
    return "among the network's own layers, so it may change the outputs" if among else ""


def _is_beside_classifier(name: str, around: Surroundings) -> bool:
    """Return whether a tensor is the classifier's, or in a module with nothing else of the network."""
    own = around.own.layer
    alone = _top(own) not in around.modules
    return own in _ancestors(name) or (alone and _top(name) == _top(own))


def _behind(unknown: Mapping[str, Shape], own: Classifier, widths: set[int]) -> dict[str, tuple[str, bool]]:
    """Return the places of tensors beside the network's layers: a module that reads pooled features acts after them.

    A module with the same number of outputs may be an attention over channels, before the pooling. widths: the number
    of pooled features, and of the outputs of classifiers.
    """
    surely = {_top(name): True for name in unknown}
    order = {layer_of(name): number for number, name in reversed(list(enumerate(unknown)))}
    # The weight of each layer comes first: in files, the bias may be before it.
    for name, shape in sorted(unknown.items(), key=lambda item: (order[layer_of(item[0])], -len(item[1]))):
        named = name.removeprefix(layer_of(name))[1:] == own.weight[1:]
        if named and reads(shape, own) in widths and shape[1 - own.reads] != own.width:
            widths.add(shape[1 - own.reads])
        elif not (len(shape) == 1 and shape[0] in widths - {own.width}):
            surely[_top(name)] = False
    perhaps = ("perhaps before the features are pooled", False)
    return {name: BEHIND if surely[_top(name)] else perhaps for name in unknown}


def _classes(weight: Shape, bias: Shape, own: Classifier) -> int:
    """Return the classes of a linear layer that reads the pooled features, with these shapes; 0 for any other."""
    if len(weight) != 2 or weight[own.reads] != own.width or bias != (weight[1 - own.reads],):
        return 0
    return weight[1 - own.reads]


def _top(name: str) -> str:
    return re.split("[./:|]", name, maxsplit=1)[0]


def _ancestors(name: str) -> Iterator[str]:
    """Yield the layers around a tensor, the nearest first."""
    while name := layer_of(name):
        yield name

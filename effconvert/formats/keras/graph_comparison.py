"""Comparison of a Keras model's graph with that of keras.applications, from the stem to the last norm."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from effconvert.architecture.variants import Variant
from effconvert.formats.keras.config import KERAS, model_config
from effconvert.formats.keras.graph import Call, Graph, read_graph
from effconvert.formats.keras.plain_graph import ACTIVATION, WEIGHTED, simplify_graph

NETWORK_ACTIVATIONS = ("silu", "relu", "relu6")
STEM, LAST = "stem_conv", "top_bn"
_CONV = {"kernel_size": None, "strides": [1, 1], "dilation_rate": [1, 1], "groups": 1, "depth_multiplier": 1}
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "Conv2D": _CONV,
    "DepthwiseConv2D": _CONV,
    "BatchNormalization": {"center": True, "scale": True},
}
_HEAD = ("top_conv", "top_bn")


class Comparison:
    """The comparison of one network in a graph.

    problems: sentences with the name of a layer. found: {layer: its call}. activations: {activation: the layers that
    apply it, in place of the network's}. strided: the convolutions of stride 2, in order.
    """

    def __init__(self, graph: Graph, variant: Variant, head: bool, scope: str) -> None:
        """Compare the simplified `graph` with that of `variant`; without `head` it ends after the last block.

        scope: the scope of the network's layers; "" for any.
        """
        self.scope = scope
        self.problems: list[str] = []
        self.activations: dict[str, list[str]] = defaultdict(list)
        self._compared: set[tuple[Call, Call]] = set()
        expected = read_graph(model_config(variant, 0, KERAS))
        assert expected is not None
        wanted = [
            call
            for call in simplify_graph(expected).calls
            if call.kind in WEIGHTED and (head or call.name not in _HEAD)
        ]
        held: dict[str, list[Call]] = defaultdict(list)
        for call in graph.calls:
            if call.kind in WEIGHTED and call.scope.startswith(scope):
                held[call.name].append(call)
        self.found = {call.name: held[call.name][0] for call in wanted if len(held[call.name]) == 1}
        self._alike([call.name for call in wanted if not held[call.name]], "is not in the graph")
        often = [call.name for call in wanted if len(held[call.name]) > 1]
        if often:
            words = f"is called {len(held[often[0]])} times, as are {len(often) - 1} more layers of the network"
            self.problems.append(f"{often[0]}: {words}; its output is used by another network")
        told = self.found[STEM].settings.get("data_format") if STEM in self.found else None
        self.data_format = "channels_first" if told == "channels_first" else "channels_last"
        self.strided = [self.found[call.name] for call in wanted if _is_strided(call) and call.name in self.found]
        training = [name for name, call in self.found.items() if call.training and call.kind == "BatchNormalization"]
        self._alike(training, "is called as in training, with the statistics of each batch")
        for call in wanted:
            if call.name in self.found:
                self._layer(call, self.found[call.name])

    def activation(self, call: Call) -> None:
        """Record the activation of a call that has the place of the network's own."""
        applied = call.settings["activation"]
        if applied in NETWORK_ACTIVATIONS:
            self.activations[applied].append(call.name)
        else:
            self.problems.append(f"{call.name}: activation {applied}, expected {' or '.join(NETWORK_ACTIVATIONS)}")

    def _alike(self, names: list[str], words: str) -> None:
        """Record one problem that several layers have."""
        more = f", as are {len(names) - 1} more layers of the network" if len(names) > 1 else ""
        self.problems += [f"{name}: {words}{more}" for name in names[:1]]

    def _layer(self, expected: Call, found: Call) -> None:
        if found.kind != expected.kind:
            self.problems.append(f"{found.name}: is {found.kind}, expected {expected.kind}")
            return
        for key, value, wanted in self._settings(expected, found):
            if value != wanted:
                self.problems.append(f"{found.name}: {key} {_shown(value)}, expected {_shown(wanted)}")
        if found.name != STEM:
            self._inputs(expected, found)

    def _settings(self, expected: Call, found: Call) -> Iterator[tuple[str, Any, Any]]:
        """Yield (name, value, expected value) of each setting that changes a layer's output, but not its weights."""
        for key, default in _SETTINGS.get(found.kind, {}).items():
            yield key, found.settings.get(key, default), expected.settings.get(key, default)
        if found.kind == "BatchNormalization":
            axis = found.settings.get("axis", -1)
            axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
            last = -1 if axis == -1 else 3
            yield "axis", axis, 1 if self.data_format == "channels_first" else last
        else:
            yield "data_format", found.settings.get("data_format") or self.data_format, self.data_format
            if not _is_strided(expected):
                yield "padding", found.settings["pads"], expected.settings["pads"]

    def _inputs(self, expected: Call, found: Call) -> None:
        if len(found.inputs) != len(expected.inputs) or found.further:
            self.problems.append(f"{found}: takes {found.taken()}, expected {expected.taken()}")
            return
        given = found.inputs
        if len(given) == 2 and _leaf(given[1]) == _leaf(expected.inputs[0]) != _leaf(given[0]):
            given = given[::-1]  # the order in a sum or product does not matter
        for one, other in zip(expected.inputs, given, strict=True):
            self._between(one, other, found)

    def _between(self, expected: Call, found: Call, user: Call) -> None:
        """Compare the inputs of `user`, back to the next layers with weights."""
        if (expected, found) in self._compared:
            return
        self._compared.add((expected, found))
        if expected.kind in WEIGHTED:
            if found is not self.found.get(expected.name):
                self.problems.append(f"{user}: takes {found}, expected {expected}")
        elif found.kind != expected.kind:
            self.problems.append(f"{user}: takes {found}, expected a layer {expected.kind}")
        elif found.settings.get("data_format") not in (None, self.data_format):
            self.problems.append(f"{found.name}: data_format {_shown(found.settings['data_format'])}")
        else:
            if expected.kind == ACTIVATION and expected.settings["activation"] == "sigmoid":
                if found.settings["activation"] != "sigmoid":
                    self.problems.append(f"{found.name}: activation {found.settings['activation']}, expected sigmoid")
            elif expected.kind == ACTIVATION:
                self.activation(found)
            self._inputs(expected, found)


def _is_strided(call: Call) -> bool:
    return bool(call.settings.get("strides", [1, 1]) != [1, 1])


def _leaf(call: Call) -> str:
    """Return the nearest layer with weights before a call."""
    while call.kind not in WEIGHTED and call.inputs:
        call = call.inputs[0]
    return call.name


def _shown(value: Any) -> str:
    return str(value)[:60]

"""The inputs of each call of a layer in a Keras model's configuration, in every form that Keras writes.

Sources: keras/src/models/functional.py (Keras 3) and keras/engine/functional.py (Keras 2).
"""

from collections import Counter, defaultdict, deque
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from effconvert.formats.keras.config_layers import CHAINS, Config, is_model

_CONSTANT = "_CONSTANT_VALUE"  # Keras 2 writes this in place of a layer for a number

Key = tuple[str, int]
Tensors = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Arguments:
    """The arguments of a call: (layer, call of that layer, output) of every tensor, and the fields that `Call` has."""

    tensors: Tensors
    further: bool = False
    training: bool = False


def calls_of(model: Config, layers: Mapping[str, Config]) -> tuple[dict[Key, Arguments], Tensors]:
    """Return the arguments of each call of a layer, and the model's outputs, with calls numbered from 0.

    In Keras, the creation of a model is its call 0: in Keras 2 for every model, in Keras 3 for Functional ones if their
    outputs are the outer model's.
    """
    nodes = {(name, number): node for name in layers for number, node in enumerate(_nodes(layers[name]))}
    outputs = tensors_in(model["config"].get("output_layers"))
    calls = Counter(name for name, _ in nodes)
    models = {name for name, layer in layers.items() if is_model(layer)}
    own = {name for name in models if layers[name]["class_name"] not in CHAINS}
    keras_2 = any(isinstance(node, list) for layer in layers.values() for node in layer.get("inbound_nodes") or [])
    taken = [tensor for node in nodes.values() for tensor in node.tensors]
    firsts = _firsts(taken, calls, models if keras_2 else set())
    nodes = {key: replace(node, tensors=_from_0(node.tensors, firsts)) for key, node in nodes.items()}
    return nodes, _from_0(outputs, _firsts(outputs, calls, models if keras_2 else own))


def ordered(nodes: Mapping[Key, Arguments], outputs: Tensors) -> Iterator[Key]:
    """Yield the calls, each after its inputs. Raises ValueError if there is no such order."""
    needed = {key: {(name, at) for name, at, _ in node.tensors} for key, node in nodes.items()}
    absent = {(name, at) for name, at, _ in outputs}.union(*needed.values()) - nodes.keys()
    if absent:
        raise ValueError(f"the output of the layer {min(absent)[0]!r} is used, but the layer has fewer calls")
    users: dict[Key, list[Key]] = defaultdict(list)
    for key, before in needed.items():
        for one in before:
            users[one].append(key)
    ready = deque(key for key, before in needed.items() if not before)
    while ready:
        key = ready.popleft()
        yield key
        for user in users[key]:
            needed[user].discard(key)
            if not needed[user]:
                ready.append(user)
    if circle := min((key for key, before in needed.items() if before), default=None):
        raise ValueError(f"the layer {circle[0]!r} is fed in a circle")


def tensors_in(value: Any) -> Tensors:
    """Return (layer, call, output) of the inputs or outputs of a model."""
    reading = _Reading()
    reading.value(value, named=False)
    return tuple(reading.tensors)


def _firsts(tensors: Iterable[tuple[str, int, int]], calls: Mapping[str, int], made: Container[str]) -> dict[str, int]:
    """Return {layer: the number of its first call in the file}: 1 for those in `made` if possible."""
    written: dict[str, set[int]] = defaultdict(set)
    for name, at, _ in tensors:
        written[name].add(at)
    firsts = {}
    for name, numbers in written.items():
        one = calls.get(name, 0) in numbers or (name in made and 0 not in numbers)
        firsts[name] = min(numbers) if calls.get(name) == 1 else int(one)
    return firsts


def _from_0(tensors: Tensors, firsts: Mapping[str, int]) -> Tensors:
    return tuple((name, at - firsts[name], number) for name, at, number in tensors)


def _nodes(layer: Config) -> list[Arguments]:
    """Return the arguments of every call of a layer; an input is one call without arguments."""
    nodes = layer.get("inbound_nodes") or []
    if not isinstance(nodes, list):
        raise ValueError(f"the calls of the layer {layer['config']['name']!r} are not a list")
    if not nodes and layer["class_name"] == "InputLayer":
        return [Arguments(())]
    return [_given(node) for node in nodes]


def _given(node: Any) -> Arguments:
    reading = _Reading()
    if isinstance(node, dict) and "args" in node:
        reading.value(node["args"], named=True)
        reading.keywords(node.get("kwargs"), named=True)
    else:
        reading.value(node, named=False)
    if not reading.tensors:
        raise ValueError("a call of a layer has no tensor")
    return Arguments(tuple(reading.tensors), reading.further, reading.training)


class _Reading:
    """Collects the tensors among the arguments of a call.

    named: whether a tensor is an object, as in Keras 3, and not a list [layer, call, output, arguments].
    """

    def __init__(self) -> None:
        self.tensors: list[tuple[str, int, int]] = []
        self.further = self.training = False

    def value(self, value: Any, named: bool) -> None:
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            told = value.get("config")
            self._tensor(told.get("keras_history") if isinstance(told, dict) else None)
        elif not named and isinstance(value, list) and value and isinstance(value[0], str):
            if value[0] == _CONSTANT:
                self.further = True
                return
            self._tensor(value[:3])
            if len(value) > 3:
                self.keywords(value[3], named)
        elif isinstance(value, list | dict):
            for part in value.values() if isinstance(value, dict) else value:
                self.value(part, named)
        elif value is not None:
            self.further = True

    def keywords(self, keywords: Any, named: bool) -> None:
        """Read the named arguments of a call; an empty mask and a name are ignored."""
        if not isinstance(keywords, dict | None):
            raise ValueError("the named arguments of a call are not an object")
        for name, value in (keywords or {}).items():
            if name == "training":
                self.training |= bool(value)
            elif name != "name":
                self.value(value, named)

    def _tensor(self, history: Any) -> None:
        types = [type(part) for part in history] if isinstance(history, list) else []
        if types != [str, int, int]:
            raise ValueError(f"a tensor is called {str(history)[:60]}")
        self.tensors.append((history[0], history[1], history[2]))

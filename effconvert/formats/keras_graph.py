"""The graph of a Keras model: every call of a layer and what it takes, with the models within the model opened.

Sources: keras/src/models/functional.py (Keras 3) and keras/engine/functional.py (Keras 2), which write the inputs of a
call in different ways.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from effconvert.formats.keras_layers import Config, layers_of

_CHAINS = ("Sequential", "Pipeline")
_PACKAGES = ("keras", "tf_keras", "tensorflow")
_MOST_CALLS = 100_000  # B7 has 816
_DEEPEST, _LONGEST = 32, 1000
_CONSTANT = "_CONSTANT_VALUE"  # what Keras 2 writes in place of a layer for a number

_Key = tuple[str, int]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer.

    scope: the models that it lies in, such as `outer/inner/`. kind: the layer's class, with its package where that is
    not Keras. settings: the layer's configuration. inputs: the calls whose outputs it takes. further: whether it takes
    anything else, such as a number. training: whether it is called as in training.
    """

    scope: str
    name: str
    kind: str
    settings: Mapping[str, Any] = field(repr=False)
    inputs: tuple["Call", ...] = field(repr=False)
    further: bool = False
    training: bool = False

    def __str__(self) -> str:
        """Return the layer's name and class, and of an operation the function that it calls."""
        function = self.settings.get("function")
        told = f" {function}" if isinstance(function, str) and function.isprintable() else ""
        return f"{self.name} ({self.kind}{told[:60]})"

    def taken(self) -> str:
        """Return what the call takes, in words."""
        inputs = ", ".join(str(before) for before in self.inputs)
        return f"{inputs} and something else" if self.further else inputs or "nothing"


@dataclass(frozen=True)
class Graph:
    """The calls of a model, each after those whose outputs it takes, and the calls whose outputs are the model's."""

    calls: tuple[Call, ...]
    outputs: tuple[Call, ...]

    def users(self) -> dict[Call, list[Call]]:
        """Return {call: the calls that take its output}."""
        found: dict[Call, list[Call]] = defaultdict(list)
        for call in self.calls:
            for taken in dict.fromkeys(call.inputs):
                found[taken].append(call)
        return found


@dataclass(frozen=True)
class _Arguments:
    """What a call is given: (layer, call of that layer, output) of every tensor, and what `Call` says of the rest."""

    tensors: tuple[tuple[str, int, int], ...]
    further: bool = False
    training: bool = False


def read_graph(config: Config) -> Graph | None:
    """Return the graph of a model's configuration, None for a model of a user's own class, which has none.

    Raises ValueError where it is not well formed.
    """
    if not _is_model(config):
        return None
    opening = _Opening()
    try:
        outputs = opening.model(config, "", [], False)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return Graph(tuple(opening.calls), tuple(outputs))


class _Opening:
    """Calls the layers of a model, and in the place of each model within it that model's layers."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def model(self, model: Config, scope: str, entering: list[Call], training: bool) -> list[Call]:
        """Return the outputs of a model; it is called on the outputs of `entering`, none for the outermost."""
        if scope.count("/") > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} models lie within each other")
        opened = self._chain if model["class_name"] in _CHAINS else self._functional
        return opened(model, scope, entering, training)

    def _chain(self, model: Config, scope: str, entering: list[Call], training: bool) -> list[Call]:
        layers = layers_of(model)
        if not entering and layers and layers[0]["class_name"] != "InputLayer":
            layers = [{"class_name": "InputLayer", "config": {**_first_shape(layers[0]), "name": "input"}}, *layers]
        for layer in layers:
            entering = self._call(layer, scope, entering, _Arguments((), training=training))
        return entering

    def _functional(self, model: Config, scope: str, entering: list[Call], training: bool) -> list[Call]:
        layers = {layer["config"]["name"]: layer for layer in layers_of(model)}
        inputs = [name for name, _, _ in _tensors(model["config"].get("input_layers"))]
        if entering and len(entering) != len(inputs):
            raise ValueError(f"the model {scope} takes {len(inputs)} inputs and is given {len(entering)}")
        outputs = _tensors(model["config"].get("output_layers"))
        nodes = {(name, number): node for name in layers for number, node in enumerate(_nodes(layers[name]))}
        places = _places((node.tensors for node in nodes.values()), outputs)
        done: dict[_Key, list[Call]] = {}
        for key in _ordered(nodes, places):
            name, node = key[0], nodes[key]
            taken = [_output(done[places[layer, at]], number) for layer, at, number in node.tensors]
            if name in inputs and entering:
                taken = [entering[inputs.index(name)]]
            training_here = _Arguments((), node.further, node.training or training)
            done[key] = self._call(layers[name], scope, taken, training_here)
        return [_output(done[places[name, at]], number) for name, at, number in outputs]

    def _call(self, layer: Config, scope: str, inputs: list[Call], arguments: _Arguments) -> list[Call]:
        name, kind = layer["config"]["name"], _kind(layer)
        if not (name + kind).isprintable() or len(name + kind) > _LONGEST:
            raise ValueError(f"a layer is called {name[:60]!r}")
        if _is_model(layer):
            if arguments.further:
                raise ValueError(f"the model {scope}{name} is called on something else than tensors")
            return self.model(layer, f"{scope}{name}/", inputs, arguments.training)
        if len(self.calls) == _MOST_CALLS:
            raise ValueError(f"it has more than {_MOST_CALLS:,} calls of layers")
        made = Call(scope, name, kind, layer["config"], tuple(inputs), arguments.further, arguments.training)
        self.calls.append(made)
        return [made]


def _is_model(layer: Config) -> bool:
    """Return whether a layer is a model whose layers its configuration lists."""
    inner = layer.get("config")
    if not isinstance(layer.get("class_name"), str) or not isinstance(inner, dict):
        return False
    return isinstance(inner.get("layers"), list) and (layer["class_name"] in _CHAINS or "output_layers" in inner)


def _kind(layer: Config) -> str:
    """Return the class of a layer, with the package that it is from or is registered in where that is not Keras."""
    kind, module, registered = (layer.get(key) for key in ("class_name", "module", "registered_name"))
    if isinstance(registered, str) and (">" in registered or not isinstance(module, str)):
        return registered if ">" in registered else f"custom>{kind}"
    if isinstance(module, str) and module.partition(".")[0] not in _PACKAGES:
        return f"{module}.{kind}"
    return str(kind)


def _first_shape(layer: Config) -> dict[str, Any]:
    """Return what the first layer of a Sequential model says of its input."""
    return {key: layer["config"][key] for key in ("batch_shape", "batch_input_shape") if key in layer["config"]}


def _output(found: list[Call], number: int) -> Call:
    """Return the call that gives the output `number` of a layer: only a model has outputs of several."""
    if len(found) > 1 and number >= len(found):
        raise ValueError(f"an output {number} is taken of {len(found)}")
    return found[number if len(found) > 1 else 0]


def _places(
    taken: Iterable[tuple[tuple[str, int, int], ...]], outputs: tuple[tuple[str, int, int], ...]
) -> dict[_Key, _Key]:
    """Return {(layer, number of its call as it is written): (layer, number from 0)}.

    Keras 2 begins with 1 where the layer is a model, whose own making was its call 0.
    """
    written: dict[str, set[int]] = defaultdict(set)
    for tensors in (*taken, outputs):
        for name, at, _ in tensors:
            written[name].add(at)
    return {(name, at): (name, number) for name, found in written.items() for number, at in enumerate(sorted(found))}


def _ordered(nodes: Mapping[_Key, _Arguments], places: Mapping[_Key, _Key]) -> Iterator[_Key]:
    """Yield the calls, each after those whose outputs it takes. Raises ValueError where there is no such order."""
    needed = {key: {places[name, at] for name, at, _ in node.tensors} for key, node in nodes.items()}
    users: dict[_Key, list[_Key]] = defaultdict(list)
    for key, before in needed.items():
        for one in before:
            users[one].append(key)
    ready = deque(key for key, before in needed.items() if not before)
    count = 0
    while ready:
        key = ready.popleft()
        count += 1
        yield key
        for user in users[key]:
            needed[user].discard(key)
            if not needed[user]:
                ready.append(user)
    if count < len(nodes) or places.values() - nodes.keys():
        absent = min(places.values() - nodes.keys(), default=None)
        if absent:
            raise ValueError(f"the output of the layer {absent[0]!r} is taken, which is not called so often")
        raise ValueError(f"the layer {min(key for key, before in needed.items() if before)[0]!r} is fed in a circle")


def _nodes(layer: Config) -> list[_Arguments]:
    """Return what every call of a layer is given; an input is one call that is given nothing."""
    nodes = layer.get("inbound_nodes") or []
    if not isinstance(nodes, list):
        raise ValueError(f"the calls of the layer {layer['config']['name']!r} are not a list")
    if not nodes and layer["class_name"] == "InputLayer":
        return [_Arguments(())]
    return [_given(node) for node in nodes]


def _given(node: Any) -> _Arguments:
    reading = _Reading()
    if isinstance(node, dict) and "args" in node:
        reading.value(node["args"], named=True)
        reading.keywords(node.get("kwargs"), named=True)
    else:
        reading.value(node, named=False)
    if not reading.tensors:
        raise ValueError("a layer is called on no tensor")
    return _Arguments(tuple(reading.tensors), reading.further, reading.training)


def _tensors(value: Any) -> tuple[tuple[str, int, int], ...]:
    """Return (layer, call, output) of the inputs or outputs of a model."""
    reading = _Reading()
    reading.value(value, named=False)
    return tuple(reading.tensors)


class _Reading:
    """Collects the tensors among the arguments of a call.

    named: whether a tensor is an object of its own, as in Keras 3, and not a list [layer, call, output, arguments].
    """

    def __init__(self) -> None:
        self.tensors: list[tuple[str, int, int]] = []
        self.further = self.training = False

    def value(self, value: Any, named: bool) -> None:
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            self._tensor(value.get("config", {}).get("keras_history"))
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
        """Read the named arguments of a call; a mask that is none, and a name, say nothing."""
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

"""The graph of a Keras model: every call of a layer with its inputs; nested models are expanded."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from effconvert.budget import ENTRY, OBJECT, Budget
from effconvert.formats.keras.calls import Arguments, Key, calls_of, ordered, tensors_in
from effconvert.formats.keras.config_layers import CHAINS, Config, is_model, layers_of

_PACKAGES = ("keras", "tf_keras", "tensorflow")
_STEPS_OF_LAYER = 8  # B7 has 816 calls of layers; a nested model may be called again and again
_DEEPEST, _LONGEST = 32, 1000


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer.

    scope: the models that contain it, such as `outer/inner/`. kind: the layer's class, with its package if that is not
    Keras. settings: the layer's configuration. inputs: the calls whose outputs are its inputs. further: whether it has
    other inputs, such as a number. training: whether it is called as in training.
    """

    scope: str
    name: str
    kind: str
    settings: Mapping[str, Any] = field(repr=False)
    inputs: tuple["Call", ...] = field(repr=False)
    further: bool = False
    training: bool = False

    def __str__(self) -> str:
        """Return the layer's name and class, and for an operation the function that it calls."""
        function = self.settings.get("function")
        told = f" {function}" if isinstance(function, str) and function.isprintable() else ""
        return f"{self.name} ({self.kind}{told[:60]})"

    def taken(self) -> str:
        """Return the inputs of the call in words."""
        inputs = ", ".join(str(before) for before in self.inputs)
        return f"{inputs} and something else" if self.further else inputs or "nothing"


@dataclass(frozen=True)
class Graph:
    """The calls of a model, each after its inputs, and the calls whose outputs are the model's."""

    calls: tuple[Call, ...]
    outputs: tuple[Call, ...]

    def users(self) -> dict[Call, list[Call]]:
        """Return {call: the calls that take its output}."""
        found: dict[Call, list[Call]] = defaultdict(list)
        for call in self.calls:
            for taken in dict.fromkeys(call.inputs):
                found[taken].append(call)
        return found


def read_graph(config: Config, budget: Budget | None = None) -> Graph | None:
    """Return the graph of a model's configuration; None for a model of a user's own class, which has no graph.

    budget: that of the file, by default one of its own. Raises ValueError if it is not well formed,
    UnreadableCheckpoint if it is too much for the budget.
    """
    if not is_model(config):
        return None
    opening = _Opening(budget or Budget("a model's configuration", 0))
    try:
        outputs = opening.model(config, "", [], False)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return Graph(tuple(opening.calls), tuple(outputs))


class _Opening:
    """Expands a model: the calls of its layers, with the layers of nested models in their place."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.calls: list[Call] = []

    def model(self, model: Config, scope: str, entering: list[Call], training: bool) -> list[Call]:
        """Return the outputs of a model that is called on the outputs of `entering`, which is empty at the top."""
        if scope.count("/") > _DEEPEST:
            raise ValueError(f"models are nested more than {_DEEPEST} deep")
        opened = self._chain if model["class_name"] in CHAINS else self._functional
        return opened(model, scope, entering, training)

    def _chain(self, model: Config, scope: str, entering: list[Call], training: bool) -> list[Call]:
        layers = layers_of(model)
        self.budget.step(_STEPS_OF_LAYER * len(layers))
        if not entering and layers and layers[0]["class_name"] != "InputLayer":
            layers = [{"class_name": "InputLayer", "config": {**_first_shape(layers[0]), "name": "input"}}, *layers]
        for layer in layers:
            entering = self._call(layer, scope, entering, Arguments((), training=training))
        return entering

    def _functional(self, model: Config, scope: str, entering: list[Call], training: bool) -> list[Call]:
        layers = {layer["config"]["name"]: layer for layer in layers_of(model)}
        listed = tensors_in(model["config"].get("input_layers"))
        inputs = {name: number for number, (name, _, _) in reversed([*enumerate(listed)])}
        if entering and len(entering) != len(listed):
            raise ValueError(f"the model {scope} takes {len(listed)} inputs and is given {len(entering)}")
        nodes, outputs = calls_of(model, layers)
        taken_in_all = sum(len(node.tensors) for node in nodes.values())
        self.budget.step(_STEPS_OF_LAYER * (len(layers) + len(nodes) + taken_in_all + len(listed) + len(outputs)))
        done: dict[Key, list[Call]] = {}
        for key in ordered(nodes, outputs):
            name, node = key[0], nodes[key]
            taken = [_output(done[layer, at], number) for layer, at, number in node.tensors]
            if name in inputs and entering:
                taken = [entering[inputs[name]]]
            training_here = Arguments((), node.further, node.training or training)
            done[key] = self._call(layers[name], scope, taken, training_here)
        return [_output(done[name, at], number) for name, at, number in outputs]

    def _call(self, layer: Config, scope: str, inputs: list[Call], arguments: Arguments) -> list[Call]:
        name, kind = layer["config"]["name"], _kind(layer)
        if not (name + kind).isprintable() or len(name + kind) > _LONGEST:
            raise ValueError(f"a layer is called {name[:60]!r}")
        if is_model(layer):
            if arguments.further:
                raise ValueError(f"the model {scope}{name} has an input that is not a tensor")
            return self.model(layer, f"{scope}{name}/", inputs, arguments.training)
        self.budget.draw(ENTRY + OBJECT, "the layers of its graph")
        made = Call(scope, name, kind, layer["config"], tuple(inputs), arguments.further, arguments.training)
        self.calls.append(made)
        return [made]


def _kind(layer: Config) -> str:
    """Return the class of a layer, with the package that defines or registers it if that is not Keras."""
    kind, module, registered = (layer.get(key) for key in ("class_name", "module", "registered_name"))
    if isinstance(registered, str) and (">" in registered or not isinstance(module, str)):
        return registered if ">" in registered else f"custom>{kind}"
    if isinstance(module, str) and module.partition(".")[0] not in _PACKAGES:
        return f"{module}.{kind}"
    return str(kind)


def _first_shape(layer: Config) -> dict[str, Any]:
    """Return the settings for the input in the first layer of a Sequential model."""
    return {key: layer["config"][key] for key in ("batch_shape", "batch_input_shape") if key in layer["config"]}


def _output(found: list[Call], number: int) -> Call:
    """Return the call that gives the output `number` of a layer; only a model has several."""
    if not found or (len(found) > 1 and not 0 <= number < len(found)):
        raise ValueError(f"an output {number} is taken of {len(found)}")
    return found[number if len(found) > 1 else 0]

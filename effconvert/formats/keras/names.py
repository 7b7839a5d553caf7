"""The weights in a Keras file's HDF5 tree, named `layer/variable` as in Keras 3."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from effconvert.budget import Budget
from effconvert.formats.keras.config_layers import VARIABLES, Config, class_path_names
from effconvert.formats.keras.graph_comparison import STEM
from effconvert.formats.keras.hdf5 import Dataset, Group
from effconvert.formats.keras.hdf5_messages import Hdf5Error

_COUNTED = re.compile(r"(.+?)(?:_\d+)?")
_LAYERS = ("layers", "_layer_checkpoint_dependencies")  # the second until TensorFlow 2.13

Datasets = dict[str, Dataset]


@dataclass(frozen=True)
class Unweighted:
    """A layer without weights: its models, such as `outer/`, its name and its class; "" if they are not known."""

    scope: str
    name: str
    kind: str


@dataclass(frozen=True)
class Held:
    """The contents of a file.

    weights: {`layer/variable`: dataset}. skipped: {path in the file: reason} of all other datasets. outside: the layers
    in other models than a network's first convolution. unweighted: every listed layer without weights.
    """

    weights: Datasets
    skipped: Mapping[str, str]
    outside: frozenset[str]
    unweighted: tuple[Unweighted, ...]


@dataclass(frozen=True)
class _Weight:
    """A dataset, its path in the file, and its nested models, layer and variable."""

    path: str
    models: tuple[str, ...]
    layer: str
    variable: str
    dataset: Dataset

    def name(self, depth: int) -> str:
        """Return the name of the weight, with the first `depth` of its models."""
        return "/".join((*self.models[:depth], self.layer, self.variable))


def held(root: Group, config: Config | None, budget: Budget) -> Held:
    """Return the weights by name, and the other contents of the file.

    A name begins with its models, as `first/stem_conv/kernel`, only if two weights would have the same name without
    them.

    config: the model's configuration, if the file has one. budget: that of the file.

    Raises Hdf5Error for a file that is not Keras's, or whose parts contradict each other.
    """
    legacy = root.members.get("model_weights", root)
    if isinstance(legacy, Group) and _texts(legacy, "layer_names"):
        found = list(_legacy(legacy, "model_weights/" if legacy is not root else ""))
        unweighted = tuple(
            Unweighted("", layer, "") for layer in _texts(legacy, "layer_names") if _is_empty(legacy, layer)
        )
    elif any(name in root.members for name in _LAYERS):
        found = list(_numbered(root, config, budget))
        unweighted = tuple(_empty_layers(root))
    else:
        raise Hdf5Error("an HDF5 file, but without the layers that Keras writes (no layer_names, no layers)")
    depth = _depth(found)
    weights = {weight.name(depth): weight.dataset for weight in found}
    paths = {weight.path for weight in found}
    skipped = {path: _reason(path) for path, _ in root.datasets() if path not in paths}
    for name in [name for name, dataset in weights.items() if dataset.dtype is None]:
        del weights[name]
        skipped[name] = "holds strings"
    stems = {weight.models for weight in found if weight.layer == STEM}
    outside = {weight.name(depth).rpartition("/")[0] for weight in found if weight.models not in stems}
    return Held(weights, skipped, frozenset(outside), unweighted)


def _depth(found: Sequence[_Weight]) -> int:
    """Return how many models each name must begin with, so that no two weights have the same name."""
    for depth in range(1 + max((len(weight.models) for weight in found), default=0)):
        if len({weight.name(depth) for weight in found}) == len(found):
            return depth
    twice, count = Counter(weight.name(len(weight.models)) for weight in found).most_common(1)[0]
    raise Hdf5Error(f"{count} of its weights are called {twice!r}")


def _legacy(group: Group, prefix: str) -> Iterator[_Weight]:
    """Yield the weights that the attributes of the file list.

    A weight is named after its layer; in a nested model, after the inner layer.
    """
    for layer in _distinct(_texts(group, "layer_names")):
        inner = group.members.get(layer)
        if not isinstance(inner, Group):
            raise Hdf5Error(f"the listed layer {layer!r} is missing")
        listed = _distinct(_texts(inner, "weight_names"))
        owners = {weight.rpartition("/")[0] for weight in listed}
        datasets = dict(inner.datasets())
        for weight in listed:
            if weight not in datasets:
                raise Hdf5Error(f"the listed weight {weight!r} is not in the layer {layer!r}")
            owner, _, variable = weight.rpartition("/")
            *models, owner = (layer,) if len(owners) == 1 else (layer, *owner.split("/"))
            variable = variable.removesuffix(":0")
            variable = "kernel" if variable == "depthwise_kernel" else variable  # the name in Keras 2
            yield _Weight(f"{prefix}{layer}/{weight}", tuple(models), owner, variable, datasets[weight])


def _distinct(listed: tuple[str, ...]) -> tuple[str, ...]:
    """Return `listed`. Raises Hdf5Error for a name that is listed twice: all that is in it would be read twice."""
    if len(set(listed)) != len(listed):
        twice, count = Counter(listed).most_common(1)[0]
        raise Hdf5Error(f"{twice!r} is listed {count:,} times")
    return listed


def _is_empty(group: Group, layer: str) -> bool:
    inner = group.members.get(layer)
    return isinstance(inner, Group) and not _texts(inner, "weight_names")


def _texts(group: Group, name: str) -> tuple[str, ...]:
    """Return the strings of an attribute, which Keras splits into several if it is large."""
    parts = [group.attributes.get(name, ())]
    while (part := group.attributes.get(f"{name}{len(parts) - 1}")) is not None:
        parts.append(part)
    return tuple(text for part in parts if isinstance(part, tuple) for text in part)


def _numbered(root: Group, config: Config | None, budget: Budget) -> Iterator[_Weight]:
    """Yield the weights, which `.weights.h5` files number in each layer.

    The names of the layers are beside the weights (since Keras 3.6), or in the model's configuration. If there are
    none, the class and its number in the model replace them.
    """
    weights = [(path.split("/"), dataset) for path, dataset in root.datasets() if _is_weight(path.split("/"))]
    layers = dict.fromkeys("/".join(parts[:-2]) for parts, _ in weights)
    within = dict.fromkeys("/".join(parts[:end]) for parts, _ in weights for end in range(2, len(parts) - 2, 2))
    names: Mapping[str, str] = {path: name for path in (*layers, *within) if (name := _own_name(root, path))}
    if not names.keys() >= layers.keys():
        names = class_path_names(config, budget) if config else {}
    known = names.keys() >= layers.keys()
    _check_numbers(weights)
    for parts, dataset in weights:
        layer, number = "/".join(parts[:-2]), parts[-1]
        variables = VARIABLES.get(class_of(parts[-3]), ())
        variable = variables[int(number)] if number.isdecimal() and int(number) < len(variables) else number
        *models, own = (names.get(path) or path.rpartition("/")[2] for path in _path_of_models(layer))
        if not known:  # without a name, a model must stay in the path
            models, own = [], "/".join(layer.split("/")[1::2])
        yield _Weight("/".join(parts), tuple(models), own, variable, dataset)


def _path_of_models(layer: str) -> Iterator[str]:
    """Yield the paths of the models of a layer, outermost first, and of the layer: two for `layers/a/layers/b`."""
    parts = layer.split("/")
    yield from ("/".join(parts[:end]) for end in range(2, len(parts) + 1, 2))


def _empty_layers(group: Group, scope: str = "") -> Iterator[Unweighted]:
    """Yield the layers without weights, also those of nested models."""
    for container in _LAYERS:
        listed = group.members.get(container)
        for path, layer in listed.members.items() if isinstance(listed, Group) else ():
            if not isinstance(layer, Group):
                continue
            name = _own_name(layer, "")
            if "vars" in layer.members and not any(True for _ in layer.datasets()):
                yield Unweighted(scope, name, class_of(path))
            yield from _empty_layers(layer, f"{scope}{name or path}/")


def _check_numbers(weights: Iterable[tuple[list[str], Dataset]]) -> None:
    """Raise Hdf5Error for a layer whose variables are not numbered 0, 1, …"""
    numbers: dict[str, list[str]] = {}
    for parts, _ in weights:
        if class_of(parts[-3]) in VARIABLES:
            numbers.setdefault("/".join(parts[:-1]), []).append(parts[-1])
    for path, found in numbers.items():
        if sorted(found) != [str(number) for number in range(len(found))]:
            raise Hdf5Error(f"the variables of {path} are numbered {', '.join(sorted(found))}")


def _is_weight(parts: list[str]) -> bool:
    """Return whether a path has the form layers/NAME/…/vars/NUMBER, of a layer or of one in a nested model."""
    return len(parts) % 2 == 0 and len(parts) >= 4 and parts[-2] == "vars" and set(parts[:-2:2]) <= set(_LAYERS)


def _own_name(root: Group, layer: str) -> str:
    group: Group | Dataset | None = root
    for part in [*filter(None, layer.split("/")), "vars"]:
        group = group.members.get(part) if isinstance(group, Group) else None
    name = group.attributes.get("name", "") if isinstance(group, Group) else ""
    return name if isinstance(name, str) else ""


def class_of(name: str) -> str:
    """Return the class in a default name such as `conv2d_12`, in Keras's letters."""
    match = _COUNTED.fullmatch(name)
    return match[1] if match else name


def _reason(path: str) -> str:
    if path.startswith(("optimizer/", "optimizer_weights/")):
        return "optimizer state"
    if "seed_generator" in path:
        return "state of a random generator"
    return "not the weight of a layer"

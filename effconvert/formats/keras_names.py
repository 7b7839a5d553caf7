"""Finds the weights in a Keras file's HDF5 tree and names them `layer/variable`, as Keras 3 does."""

import re
from collections.abc import Iterable, Iterator, Mapping

from effconvert.formats.hdf5 import Dataset, Group
from effconvert.formats.hdf5_messages import Hdf5Error
from effconvert.formats.keras_classifier import CLASSIFIER, find_classifier
from effconvert.formats.keras_graph import VARIABLES, Config, class_path_names

_COUNTED = re.compile(r"(.+?)(?:_\d+)?")
_LAYERS = ("layers", "_layer_checkpoint_dependencies")  # the second until TensorFlow 2.13

Datasets = dict[str, Dataset]


def named_datasets(root: Group, config: Config | None) -> tuple[Datasets, dict[str, str]]:
    """Return {`layer/variable`: dataset} of every weight, and {path in the file: reason} of what is none.

    A classifier that a user named is called `predictions`, as the network's own.

    config: of the model, where the file holds one. Raises Hdf5Error for a file that is not Keras's, or whose parts
    contradict each other.
    """
    legacy = root.members.get("model_weights", root)
    if isinstance(legacy, Group) and _texts(legacy, "layer_names"):
        found = list(_legacy(legacy, "model_weights/" if legacy is not root else ""))
    elif any(name in root.members for name in _LAYERS):
        found = list(_numbered(root, config))
    else:
        raise Hdf5Error("an HDF5 file, but without the layers that Keras writes (no layer_names, no layers)")
    weights: Datasets = {}
    for path, name, dataset in found:
        if name in weights:
            raise Hdf5Error(f"two of its weights are called {name!r}, the second at {path}")
        weights[name] = dataset
    paths = {path for path, _, _ in found}
    skipped = {path: _reason(path) for path, _ in root.datasets() if path not in paths}
    for name in [name for name, dataset in weights.items() if dataset.dtype is None]:
        del weights[name]
        skipped[name] = "holds texts"
    own = find_classifier({name: dataset.shape for name, dataset in weights.items()}, config)
    for variable in ("kernel", "bias") if own else ():
        weights[f"{CLASSIFIER}/{variable}"] = weights.pop(f"{own}/{variable}")
    return weights, skipped


def _legacy(group: Group, prefix: str) -> Iterator[tuple[str, str, Dataset]]:
    """Yield (path, name, dataset) of the weights that the attributes of the file list.

    A weight is named after its layer, or, in a model that is a layer itself, after the layer in that.
    """
    for layer in _texts(group, "layer_names"):
        inner = group.members.get(layer)
        if not isinstance(inner, Group):
            raise Hdf5Error(f"the layer {layer!r} that it lists is not there")
        listed = _texts(inner, "weight_names")
        owners = {weight.rpartition("/")[0] for weight in listed}
        datasets = dict(inner.datasets())
        for weight in listed:
            if weight not in datasets:
                raise Hdf5Error(f"the weight {weight!r} that it lists is not in the layer {layer!r}")
            owner, _, variable = weight.rpartition("/")
            owner = layer if len(owners) == 1 else owner.rpartition("/")[2]
            variable = variable.removesuffix(":0")
            variable = "kernel" if variable == "depthwise_kernel" else variable  # as Keras 2 called it
            yield f"{prefix}{layer}/{weight}", f"{owner}/{variable}", datasets[weight]


def _texts(group: Group, name: str) -> tuple[str, ...]:
    """Return the texts of an attribute, which Keras splits into several where it is large."""
    parts = [group.attributes.get(name, ())]
    while (part := group.attributes.get(f"{name}{len(parts) - 1}")) is not None:
        parts.append(part)
    return tuple(text for part in parts if isinstance(part, tuple) for text in part)


def _numbered(root: Group, config: Config | None) -> Iterator[tuple[str, str, Dataset]]:
    """Yield (path, name, dataset) of the weights, which `.weights.h5` files number in each layer.

    The layers' names stand beside the weights (since Keras 3.6), or in the model's configuration, or nowhere: then the
    class and its number in the model take their place.
    """
    weights = [(path.split("/"), dataset) for path, dataset in root.datasets() if _is_weight(path.split("/"))]
    layers = dict.fromkeys("/".join(parts[:-2]) for parts, _ in weights)
    names: Mapping[str, str] = {layer: name for layer in layers if (name := _own_name(root, layer))}
    if len(names) < len(layers):
        names = class_path_names(config) if config else {}
    if not names.keys() >= layers.keys():
        names = {layer: "/".join(layer.split("/")[1::2]) for layer in layers}
    _check_numbers(weights)
    for parts, dataset in weights:
        layer, number = "/".join(parts[:-2]), parts[-1]
        variables = VARIABLES.get(_class(parts[-3]), ())
        variable = variables[int(number)] if number.isdecimal() and int(number) < len(variables) else number
        yield "/".join(parts), f"{names[layer]}/{variable}", dataset


def _check_numbers(weights: Iterable[tuple[list[str], Dataset]]) -> None:
    """Raise Hdf5Error for a layer whose variables are not numbered 0, 1, …"""
    numbers: dict[str, list[str]] = {}
    for parts, _ in weights:
        if _class(parts[-3]) in VARIABLES:
            numbers.setdefault("/".join(parts[:-1]), []).append(parts[-1])
    for path, found in numbers.items():
        if sorted(found) != [str(number) for number in range(len(found))]:
            raise Hdf5Error(f"the variables of {path} are numbered {', '.join(sorted(found))}")


def _is_weight(parts: list[str]) -> bool:
    """Return whether a path reads layers/NAME/…/vars/NUMBER: that of a layer, or of one in a model that is a layer."""
    return len(parts) % 2 == 0 and len(parts) >= 4 and parts[-2] == "vars" and set(parts[:-2:2]) <= set(_LAYERS)


def _own_name(root: Group, layer: str) -> str:
    group: Group | Dataset = root
    for part in [*layer.split("/"), "vars"]:
        assert isinstance(group, Group)
        group = group.members[part]
    name = group.attributes.get("name", "")
    return name if isinstance(name, str) else ""


def _class(name: str) -> str:
    """Return the class that `conv2d_12` is counted in."""
    match = _COUNTED.fullmatch(name)
    return match[1] if match else name


def _reason(path: str) -> str:
    if path.startswith(("optimizer/", "optimizer_weights/")):
        return "optimizer state"
    if "seed_generator" in path:
        return "state of a random generator"
    return "no layer's weight"

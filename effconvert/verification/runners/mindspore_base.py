"""Base of the runners of MindSpore libraries: strict loading, and hooks that record every layer's output."""

import numpy as np

from .base import CannotBuild, CannotLoad, Network


def start_mindspore():
    """Import MindSpore, on the CPU and in eager (PyNative) mode, since hooks are called only there."""
    import mindspore

    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    if hasattr(mindspore, "set_device"):
        mindspore.set_device("CPU")
    else:  # before MindSpore 2.5
        mindspore.set_context(device_target="CPU")
    try:
        mindspore.Tensor([1.0]) * mindspore.Tensor([1.0])
    except SystemError as error:  # a build for NumPy 1 can be imported with NumPy 2, but cannot multiply
        raise ImportError(f"MindSpore does not work with numpy {np.__version__}; install numpy<2") from error


def refuse_other_facts(framework, settings, bn_eps, padding):
    """Raise CannotBuild for facts that the library's networks do not have.

    bn_eps: the library's values for the variant. padding: of all its networks.
    """
    has = {
        "name": [f"b{number}" for number in range(8)],
        "bn_eps": bn_eps,
        "padding": (padding,),
        "activation": ("silu",),
        "head_conv": (True,),
        "normalization": ("outside",),
    }
    problems = [
        f"{fact}={settings[fact]} (it has {' or '.join(map(str, values))})"
        for fact, values in has.items()
        if settings[fact] not in values
    ]
    if problems:
        raise CannotBuild(f"{framework} cannot build an EfficientNet with {', '.join(problems)}")


def load(network, file, tensors, raw):
    """Load the file, or the given tensors instead, and return the loader's name."""
    import mindspore

    if tensors is None:
        weights = _read_file(file)
        averages = set() if raw else {"ema"}  # MindCV stores them beside the weights, and loads them only on request
        _refuse(CannotLoad, _problems(network, weights, averages))
    else:
        values = {name: mindspore.Tensor(np.asarray(array, np.float32)) for name, array in tensors.items()}
        weights = {name: mindspore.Parameter(value, name=name) for name, value in values.items()}
        _refuse(CannotBuild, _problems(network, weights, {_first_word(name) for name in weights}))
    try:
        mindspore.load_param_into_net(network, weights, strict_load=True)
    except Exception as error:  # mostly for weights of another precision
        raise CannotLoad(f"mindspore.load_param_into_net: {error}") from error
    return "mindspore.load_checkpoint" if tensors is None else "load_param_into_net of given tensors"


def _read_file(file):
    """Return {name: parameter} of the file, read by MindSpore, without the strings in it."""
    import mindspore

    options = {"format": "safetensors"} if file.endswith(".safetensors") else {}
    try:
        weights = mindspore.load_checkpoint(file, **options)
    except Exception as error:  # effconvert's own reader may still read it
        raise CannotLoad(f"mindspore.load_checkpoint: {error}") from error
    return {name: value for name, value in weights.items() if isinstance(value, mindspore.Parameter)}


def _problems(network, weights, scopes):
    """Return a sentence for each parameter that is missing, has another shape, or is unknown.

    Training state (optimizer slots and counters) is allowed: names that begin neither like the network's nor with one
    of `scopes`.
    """
    wanted = {parameter.name: parameter.shape for parameter in network.get_parameters()}
    found = {name: weights[name].shape for name in wanted if name in weights}
    scopes = scopes | {_first_word(name) for name in wanted}
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [
        f"{name} has the shape {list(shape)}, expected {list(wanted[name])}"
        for name, shape in found.items()
        if shape != wanted[name]
    ]
    unknown = [name for name in weights if name not in wanted and _first_word(name) in scopes]
    return problems + [f"{name} is not in the network" for name in unknown]


def _first_word(name):
    """Return a parameter's name up to its first dot."""
    return name.split(".")[0]


def _refuse(kind, problems):
    """Raise an error of this kind with the number of problems and the first of them, if there are any."""
    if problems:
        raise kind(f"{len(problems)} parameters do not fit: {'; '.join(problems[:5])}")


def hooked(call, loader, network, ends, inputs):
    """Return the network in inference mode, with hooks at the ends of its layers.

    ends: [(layer, the cell with its output)] in order.
    """
    network.set_train(False)
    return Network(call, loader, lambda feed: _record(network, ends, inputs["images"], feed))


def _record(network, ends, images, feed):
    """Return {layer: its output} for one pass.

    A layer's input from `feed` replaces the output of the layer before, after that has been recorded.
    """
    import mindspore

    names, layers = [name for name, _ in ends], {}
    following = dict(zip(names, names[1:]))

    def hook_of(name):
        def hook(cell, inputs, output):
            layers[name] = np.array(output.asnumpy())
            if following.get(name) in feed:
                return mindspore.Tensor(feed[following[name]].reshape(output.shape))
            return None

        return hook

    hooks = [cell.register_forward_hook(hook_of(name)) for name, cell in ends]
    try:
        network(mindspore.Tensor(images))
    finally:
        for hook in hooks:
            hook.remove()
    return layers

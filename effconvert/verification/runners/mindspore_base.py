"""Shared by the runners of MindSpore libraries: strict loading, and what every layer gives, by hooks."""

import numpy as np

from .base import CannotBuild, CannotLoad, Network


def start_mindspore():
    """Import MindSpore and let it compute on the CPU, one operation after another, so that hooks are called."""
    import mindspore

    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    if hasattr(mindspore, "set_device"):
        mindspore.set_device("CPU")
    else:  # before MindSpore 2.5
        mindspore.set_context(device_target="CPU")
    try:
        mindspore.Tensor([1.0]) * mindspore.Tensor([1.0])
    except SystemError as error:  # built for NumPy 1, it is imported beside NumPy 2 but cannot multiply there
        raise ImportError(f"MindSpore does not compute beside numpy {np.__version__}; install numpy<2") from error


def refuse_other_facts(framework, settings, bn_eps, padding):
    """Refuse settings of a network that the library does not have.

    bn_eps: those that the library gives the variant. padding: that of all its networks.
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
        raise CannotBuild(f"{framework} builds no EfficientNet with {', '.join(problems)}")


def load(network, file, tensors, raw):
    """Load the file, or the tensors that were given in its place; return how, in words."""
    import mindspore

    if tensors is None:
        weights = _read_file(file)
        averages = set() if raw else {"ema"}  # MindCV keeps them beside the weights, and loads them only when asked
        _refuse(CannotLoad, _problems(network, weights, averages))
    else:
        values = {name: mindspore.Tensor(np.asarray(array, np.float32)) for name, array in tensors.items()}
        weights = {name: mindspore.Parameter(value, name=name) for name, value in values.items()}
        _refuse(CannotBuild, _problems(network, weights, {_first_word(name) for name in weights}))
    try:
        mindspore.load_param_into_net(network, weights, strict_load=True)
    except Exception as error:  # above all, weights of another precision
        raise CannotLoad(f"mindspore.load_param_into_net: {error}") from error
    return "mindspore.load_checkpoint" if tensors is None else "load_param_into_net of given tensors"


def _read_file(file):
    """Return {name: parameter} of the file, as MindSpore reads it, without the strings in it."""
    import mindspore

    options = {"format": "safetensors"} if file.endswith(".safetensors") else {}
    try:
        weights = mindspore.load_checkpoint(file, **options)
    except Exception as error:  # whatever it cannot read, effconvert's own reader can
        raise CannotLoad(f"mindspore.load_checkpoint: {error}") from error
    return {name: value for name, value in weights.items() if isinstance(value, mindspore.Parameter)}


def _problems(network, weights, scopes):
    """Return what the weights lack, what has another shape, and what is left over, in words.

    What training adds may be left over: slots of the optimizer and counters. Their names start neither as those of
    the network do nor with one of `scopes`.
    """
    wanted = {parameter.name: parameter.shape for parameter in network.get_parameters()}
    found = {name: weights[name].shape for name in wanted if name in weights}
    scopes = scopes | {_first_word(name) for name in wanted}
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [
        f"{name} is {list(shape)}, and {list(wanted[name])} in the network"
        for name, shape in found.items()
        if shape != wanted[name]
    ]
    unknown = [name for name in weights if name not in wanted and _first_word(name) in scopes]
    return problems + [f"{name} has no place in the network" for name in unknown]


def _first_word(name):
    """Return a parameter's name up to its first dot."""
    return name.split(".")[0]


def _refuse(kind, problems):
    """Raise an error of the kind that shows the first problems and counts them all, if there are any."""
    if problems:
        raise kind(f"{len(problems)} parameters do not fit: {'; '.join(problems[:5])}")


def hooked(call, loader, network, ends, inputs):
    """Return the network in inference mode, its layers known by where they end.

    ends: [(layer, the cell that gives its output)] in order.
    """
    network.set_train(False)
    return Network(call, loader, lambda feed: _record(network, ends, inputs["images"], feed))


def _record(network, ends, images, feed):
    """Return {layer: its output} of one pass.

    What a layer is given takes the place of the output of the one before, once that is kept.
    """
    import mindspore

    names, layers = [name for name, _ in ends], {}
    following = dict(zip(names, names[1:]))

    def hook_of(name):
        def hook(cell, arriving, output):
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

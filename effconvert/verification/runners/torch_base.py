"""Base of the runners of PyTorch libraries: strict loading, and hooks that record every layer's output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .base import Arrays, CannotBuild, CannotLoad, Network, Settings

_kept_alive: list[Any] = []


def start_torch() -> None:
    """Import torch and switch TF32 off."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def repair_torchvision() -> None:
    """Define two operators, so that a torchvision built for CUDA can be imported with a CPU build of PyTorch.

    Its compiled part does not load there, so two of its operators are declared but not defined: pytorch/vision#9085.
    """
    import torch

    if torch.version.cuda is None and not hasattr(torch.ops.torchvision, "nms"):
        library: Any = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        _kept_alive.append(library)
        for name in ("nms", "qnms"):
            library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def require_facts(framework: str, settings: Settings, **facts: object) -> None:
    """Raise CannotBuild unless the settings have these facts, the only ones that the library can build."""
    wrong = [f"{name} {fact}, not {settings[name]}" for name, fact in facts.items() if settings[name] != fact]
    if wrong:
        raise CannotBuild(f"{framework}'s EfficientNet {settings['name']} has {'; '.join(wrong)}")


def require_epsilon(framework: str, network: Any, settings: Settings) -> None:
    """Raise CannotBuild unless every BatchNorm has the epsilon of the settings, even if the library chose it."""
    import torch

    norms = torch.nn.modules.batchnorm._BatchNorm
    found = sorted({module.eps for module in network.modules() if isinstance(module, norms)})
    if found != [settings["bn_eps"]]:
        said = " and ".join(map(str, found))
        raise CannotBuild(f"{framework}'s network has bn_eps {said}, not {settings['bn_eps']}")


def state_in(file: str) -> Any:
    """Return the contents of a file of PyTorch or safetensors, without running code from the file."""
    import torch

    if file.endswith(".safetensors"):
        from safetensors.torch import load_file

        return load_file(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def load_state(network: Any, file: str) -> str:
    """Load a state_dict strictly, and return the loader's name; raise CannotLoad if it does not fit."""
    try:
        network.load_state_dict(state_in(file))
    except Exception as error:
        raise CannotLoad(f"load_state_dict: {error}") from error
    return "load_state_dict"


def load_tensors(network: Any, tensors: Arrays) -> str:
    """Load {name: array} strictly (PyTorch itself adds missing batch counters), and return the loader's name."""
    import torch

    state = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise CannotBuild(str(error)) from error
    return "load_state_dict of given tensors"


def hooked(
    call: str,
    loader: str,
    network: Any,
    entries: Sequence[tuple[str, Any]],
    inputs: Arrays,
    result: Callable[[Any], Any] = lambda output: output,
) -> Network:
    """Return the network in eval mode, with hooks at the beginnings of its layers.

    entries: [(layer, its first module)] in order. A layer's input is the output of the previous layer. result: gets the
    last layer's output from the network's.
    """
    network.eval()
    return Network(call, loader, lambda feed: _record(network, entries, inputs["images"], feed, result))


def _record(
    network: Any, entries: Sequence[tuple[str, Any]], images: Any, feed: Arrays, result: Callable[[Any], Any]
) -> Arrays:
    import torch

    layers: Arrays = {}
    names = [name for name, _ in entries]

    def hook_of(number: int) -> Callable[[Any, Any], Any]:
        def hook(module: Any, inputs: Any) -> Any:
            if number:
                layers[names[number - 1]] = _as_array(inputs[0])
            if names[number] in feed:
                return (_as_given(inputs[0], feed[names[number]]), *inputs[1:])
            return None

        return hook

    hooks = [module.register_forward_pre_hook(hook_of(number)) for number, (_, module) in enumerate(entries)]
    try:
        with torch.no_grad():
            layers[names[-1]] = _as_array(result(network(torch.from_numpy(images))))
    finally:
        for hook in hooks:
            hook.remove()
    return layers


def _as_array(value: Any) -> Any:
    """Return a copy of a module's input or output as an array; of several maps the last."""
    while isinstance(value, (list, tuple)):
        value = value[-1]
    return value.detach().float().numpy().copy()


def _as_given(value: Any, array: Any) -> Any:
    """Return the array in the form of `value`, a module's input."""
    import torch

    if isinstance(value, (list, tuple)):
        return type(value)([*value[:-1], _as_given(value[-1], array)])
    return torch.from_numpy(array).reshape(value.shape)

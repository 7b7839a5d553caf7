"""Runs the EfficientNet of lukemelas (efficientnet-pytorch) on a file of weights and saves what every layer gives.

Needs numpy and efficientnet-pytorch only, or efficientnet-lite-pytorch for Lite, on Python 3.9 or later; nothing of
effconvert.
"""

from dataclasses import replace
from importlib import import_module

from .base import CannotBuild, CannotImport, Runner, call_text, name_layers, package_versions
from .torch_base import hooked, load_state, load_tensors, require_epsilon, require_facts, start_torch

PLAIN, LITE = "efficientnet-pytorch", "efficientnet-lite-pytorch"
PACKAGES = (PLAIN, LITE, "torch")


def start():
    """Import the framework, either of its packages, and make it compute in plain float32."""
    start_torch()
    try:
        import efficientnet_pytorch  # noqa: F401
    except ImportError:
        import efficientnet_lite_pytorch  # noqa: F401


def make_network(file, tensors, settings, inputs):
    """Return the network of either package with the weights.

    Their own loader takes a file of 1,000 classes or none, and no safetensors.
    """
    name, arguments = network_of(settings, inputs["images"].shape[2:])
    call, network = build(name, arguments, settings)
    loader = load_state(network, file) if tensors is None else load_tensors(network, tensors)
    require_epsilon("lukemelas", network, settings)
    logits = network._fc if settings["classes"] else None
    entries = name_layers(
        network._conv_stem, network._blocks, head=network._conv_head, pooled=network._avg_pooling, logits=logits
    )
    versions = package_versions((package_of(settings), "torch"))
    return replace(hooked(call, loader, network, entries, inputs), versions=versions)


def is_lite(settings):
    """Return whether the network is one of Lite, which has a package of its own."""
    return settings["name"].startswith("lite")


def package_of(settings):
    """Return what pip calls the package that has the network."""
    return LITE if is_lite(settings) else PLAIN


def class_of(settings):
    """Return EfficientNet of the package that has the network. Raises CannotImport where that is missing."""
    module = package_of(settings).replace("-", "_")
    try:
        return import_module(module).EfficientNet
    except ImportError as error:
        raise CannotImport(f"{module} cannot be imported: {error}") from error


def network_of(settings, size):
    """Return the name and the arguments of the network that has the facts, for images of `size`; raise CannotBuild."""
    name, lite = "efficientnet-" + settings["name"], is_lite(settings)
    try:
        class_of(settings)._check_model_name_is_valid(name)
    except ValueError:
        raise CannotBuild(f"EfficientNet-PyTorch has no {name}") from None
    activation = "relu6" if lite else "silu"
    require_facts("lukemelas", settings, padding="tf-same", activation=activation, head_conv=True)
    height, width = size
    # Its paddings are fixed when it is built, for one size of image.
    arguments = {"image_size": height if height == width else [height, width]}
    if not settings.get("usual"):
        arguments["batch_norm_epsilon"] = settings["bn_eps"]
    if settings["in_channels"] != 3 and not lite:
        arguments["in_channels"] = settings["in_channels"]
    if settings["classes"]:
        arguments["num_classes"] = settings["classes"]
    elif not lite:
        arguments["include_top"] = False
    return name, arguments


def build(name, arguments, settings):
    """Return the call that builds the network, and the network, with what Lite's package has no argument for."""
    import torch

    network = class_of(settings).from_name(name, **arguments)
    call, channels = call_text("EfficientNet.from_name", name, **arguments), settings["in_channels"]
    if is_lite(settings) and not settings["classes"]:
        network._fc = torch.nn.Identity()
    if is_lite(settings) and channels != 3:  # for those its package makes the stem too wide in two
        stem, size = network._conv_stem, arguments["image_size"]
        network._conv_stem = type(stem)(channels, stem.out_channels, 3, stride=2, image_size=size, bias=False)
        call += f" with a first convolution of {channels} channels"
    return call, network


RUNNER = Runner(framework="lukemelas", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

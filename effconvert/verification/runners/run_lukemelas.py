"""Runner of lukemelas' EfficientNet (efficientnet-pytorch): it runs weights and saves the output of every layer.

It needs only numpy and efficientnet-pytorch, or efficientnet-lite-pytorch for Lite, on Python 3.9 or later, and not
effconvert.
"""

from dataclasses import replace
from importlib import import_module

from .base import CannotBuild, CannotImport, Runner, call_text, name_layers, package_versions
from .torch_base import hooked, load_state, load_tensors, require_epsilon, require_facts, start_torch

PLAIN, LITE = "efficientnet-pytorch", "efficientnet-lite-pytorch"
PACKAGES = (PLAIN, LITE, "torch")


def start():
    """Import one of the framework's two packages, and select plain float32."""
    start_torch()
    try:
        import efficientnet_pytorch  # noqa: F401
    except ImportError:
        import efficientnet_lite_pytorch  # noqa: F401


def make_network(file, tensors, settings, inputs):
    """Return the network of one of the packages with the weights.

    The packages' own loader reads only files with 1,000 or 0 classes, and not safetensors, so it is not used.
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
    """Return whether the network is a Lite variant, which has its own package."""
    return settings["name"].startswith("lite")


def package_of(settings):
    """Return pip's name of the network's package."""
    return LITE if is_lite(settings) else PLAIN


def class_of(settings):
    """Return the class EfficientNet of the network's package. Raises CannotImport if it is missing."""
    module = package_of(settings).replace("-", "_")
    try:
        return import_module(module).EfficientNet
    except ImportError as error:
        raise CannotImport(f"{module} cannot be imported: {error}") from error


def network_of(settings, size):
    """Return name and arguments of the network with the facts, for images of `size`, or raise CannotBuild."""
    name, lite = "efficientnet-" + settings["name"], is_lite(settings)
    try:
        class_of(settings)._check_model_name_is_valid(name)
    except ValueError:
        raise CannotBuild(f"EfficientNet-PyTorch has no {name}") from None
    activation = "relu6" if lite else "silu"
    require_facts("lukemelas", settings, padding="tf-same", activation=activation, head_conv=True)
    height, width = size
    # Its paddings are fixed for one image size when it is built.
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
    """Return the call and the network, changed where Lite's package has no argument."""
    import torch

    network = class_of(settings).from_name(name, **arguments)
    call, channels = call_text("EfficientNet.from_name", name, **arguments), settings["in_channels"]
    if is_lite(settings) and not settings["classes"]:
        network._fc = torch.nn.Identity()
    if is_lite(settings) and channels != 3:  # for other channels its package builds a wrong stem in two variants
        stem, size = network._conv_stem, arguments["image_size"]
        network._conv_stem = type(stem)(channels, stem.out_channels, 3, stride=2, image_size=size, bias=False)
        call += f" with a first convolution of {channels} channels"
    return call, network


RUNNER = Runner(framework="lukemelas", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

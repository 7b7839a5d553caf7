"""Runner of timm's own EfficientNet: it runs a file of weights and saves the output of every layer.

It needs only numpy and timm, on Python 3.9 or later, and not effconvert.
"""

from .base import CannotBuild, CannotLoad, Runner, call_text, name_layers
from .torch_base import hooked, load_tensors, repair_torchvision, require_epsilon, require_facts, start_torch

PACKAGES = ("timm", "torchvision", "torch")


def start():
    """Import the framework, and select plain float32."""
    start_torch()
    repair_torchvision()
    import timm  # noqa: F401


def make_network(file, tensors, settings, inputs):
    """Return timm's network with the weights."""
    import timm

    name, arguments = network_of(settings)
    if not timm.is_model(name):
        raise CannotBuild(f"timm has no {name}")
    network = timm.create_model(name, **arguments)
    require_epsilon("timm", network, settings)
    loader = load_file(network, file, settings["raw"]) if tensors is None else load_tensors(network, tensors)
    entries = name_layers(
        network.conv_stem,
        [block for stage in network.blocks for block in stage],
        head=network.conv_head if settings["head_conv"] else None,
        pooled=network.global_pool if settings["head_conv"] else None,
        logits=network.classifier if settings["classes"] else None,
    )
    return hooked(call_text("timm.create_model", name, **arguments), loader, network, entries, inputs)


def network_of(settings):
    """Return name and arguments of timm's network with the facts, or raise CannotBuild."""
    if settings["variant"].startswith("edgetpu"):
        require_facts("timm", settings, activation="relu", fused_stride="expand")
    else:
        require_facts("timm", settings, activation="relu6" if settings["variant"].startswith("lite") else "silu")
    symmetric = settings["padding"] == "symmetric"
    own = settings["bn_eps"] == (1e-5 if symmetric else 1e-3) or settings.get("usual")
    arguments = {"in_chans": settings["in_channels"]} if settings["in_channels"] != 3 else {}
    if not settings["head_conv"]:  # a backbone for detection gives feature maps; the last is the last block's
        arguments["features_only"] = True
    else:
        arguments["num_classes"] = settings["classes"]
        if own:
            return ("efficientnet_" if symmetric else "tf_efficientnet_") + settings["name"], arguments
    # The code that a conversion prints, in mappings/timm.toml, for any other epsilon.
    arguments["bn_eps"] = settings["bn_eps"]
    if not symmetric:
        arguments["pad_type"] = "same"
    return "efficientnet_" + settings["name"], arguments


def load_file(network, file, raw):
    """Load the file strictly with timm, and return the loader's name; raise CannotLoad if it refuses."""
    from timm.models import load_checkpoint

    try:
        # weights_only is explicit because older versions of timm would run code from the file.
        load_checkpoint(network, file, use_ema=not raw, weights_only=True)
    except Exception as error:
        raise CannotLoad(f"timm.models.load_checkpoint: {type(error).__name__} {error}") from error
    return "timm.models.load_checkpoint"


RUNNER = Runner(framework="timm", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

"""Runner of torchvision's own EfficientNet: it runs a file of weights and saves the output of every layer.

It needs only numpy and torchvision, on Python 3.9 or later, and not effconvert.
"""

from .base import CannotBuild, Runner, name_layers
from .torch_base import hooked, load_state, load_tensors, repair_torchvision, require_facts, start_torch

PACKAGES = ("torchvision", "torch")


def start():
    """Import the framework, and select plain float32."""
    start_torch()
    repair_torchvision()
    import torchvision  # noqa: F401


def make_network(file, tensors, settings, inputs):
    """Return torchvision's network with the weights; it has no own loader, users load a state_dict."""
    call, network = build(settings)
    loader = load_state(network, file) if tensors is None else load_tensors(network, tensors)
    stem, *stages, head = network.features
    blocks = [block for stage in stages for block in stage]
    logits = network.classifier if settings["classes"] else None
    entries = name_layers(stem, blocks, head=head, pooled=network.avgpool, logits=logits)
    return hooked(call, loader, network, entries, inputs)


def build(settings):
    """Return the call and torchvision's network with the facts, or raise CannotBuild."""
    import torch
    import torchvision

    name = "efficientnet_" + settings["name"]
    if not hasattr(torchvision.models, name):
        raise CannotBuild(f"torchvision has no {name}")
    # torchvision fixes the epsilon by the name: these three were trained with TensorFlow's.
    bn_eps = 1e-3 if settings["name"] in ("b5", "b6", "b7") else 1e-5
    require_facts("torchvision", settings, bn_eps=bn_eps, padding="symmetric", activation="silu", head_conv=True)
    function, classes = getattr(torchvision.models, name), settings["classes"]
    if classes:
        call, network = f"torchvision.models.{name}(num_classes={classes})", function(num_classes=classes)
    else:
        call, network = f"torchvision.models.{name}(), its classifier torch.nn.Identity()", function()
        network.classifier = torch.nn.Identity()
    channels = settings["in_channels"]
    if channels != 3:  # torchvision has no argument for it
        network.features[0][0] = torch.nn.Conv2d(channels, network.features[0][0].out_channels, 3, 2, 1, bias=False)
        call += f", its features[0][0] of {channels} input channels"
    return call, network


RUNNER = Runner(framework="torchvision", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

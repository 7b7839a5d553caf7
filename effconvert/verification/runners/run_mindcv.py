"""Runner of MindCV's own EfficientNet: it runs a file of weights and saves the output of every layer.

It needs only numpy and mindcv, on Python 3.9 or later, and not effconvert.
"""

from .base import Runner, call_text, name_layers
from .mindspore_base import hooked, load, refuse_other_facts, start_mindspore

PACKAGES = ("mindcv", "mindspore")


def start():
    """Import the framework, and select plain float32."""
    start_mindspore()
    import mindcv  # noqa: F401


def make_network(file, tensors, settings, inputs):
    """Return MindCV's network with the weights."""
    call, network = build(settings)
    loader = load(network, file, tensors, settings["raw"])
    cells = list(network.features.cells())  # the stem and the head are three cells each: convolution, norm, activation
    blocks = [block for stage in cells[3:-3] for block in stage.cells()]
    logits = network.mlp_head if settings["classes"] else None
    ends = name_layers(cells[2], blocks, head=cells[-1], pooled=network.avgpool, logits=logits)
    return hooked(call, loader, network, ends, inputs)


def build(settings):
    """Return the call and MindCV's network with the facts, or raise CannotBuild."""
    import mindcv
    from mindspore import nn

    wide = settings["name"] in ("b5", "b6", "b7")
    refuse_other_facts("mindcv", settings, bn_eps=(1e-3,) if wide else (1e-5,), padding="tf-same")
    name, classes = "efficientnet_" + settings["name"], settings["classes"]
    arguments = {"num_classes": classes or 1}
    if settings["in_channels"] != 3:
        arguments["in_channels"] = settings["in_channels"]
    call, network = call_text("mindcv.create_model", name, **arguments), mindcv.create_model(name, **arguments)
    if not classes:  # its Dense does not accept 0 classes
        network.mlp_head = nn.Identity()
        call += " without mlp_head"
    return call, network


RUNNER = Runner(framework="mindcv", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

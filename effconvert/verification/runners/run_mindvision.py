"""Runner of mindvision's own EfficientNet: it runs a file of weights and saves the output of every layer.

It needs only numpy and mindvision, on Python 3.9 or later, and not effconvert.
"""

import importlib
import sys

from .base import CannotBuild, Runner, call_text, name_layers
from .mindspore_base import hooked, load, refuse_other_facts, start_mindspore

PACKAGES = ("mindvision", "mindspore")

# Arguments of EfficientNet and DenseHead in its efficientnet_b5 to b7: width, depth, channels, dropout.
WIDE = {"b5": (1.6, 2.2, 2048, 0.4), "b6": (1.8, 2.6, 2304, 0.5), "b7": (2.0, 3.1, 2560, 0.5)}


def start():
    """Import the framework, and select plain float32."""
    start_mindspore()
    repair_mindspore()
    import mindvision.classification  # noqa: F401


def repair_mindspore():
    """Add the data set modules that MindSpore dropped after 2.0, since mindvision imports them.

    Its networks do not use them.
    """
    for name in ("mindspore.dataset.vision", "mindspore.dataset.transforms"):
        module = importlib.import_module(name)
        for dropped in ("c_transforms", "py_transforms"):
            try:
                importlib.import_module(name + "." + dropped)
            except ImportError:
                sys.modules[name + "." + dropped] = module
                setattr(module, dropped, module)


def make_network(file, tensors, settings, inputs):
    """Return mindvision's network with the weights."""
    call, network = build(settings)
    loader = load(network, file, tensors, settings["raw"])
    stem, *stages, head = network.backbone.features.cells()
    blocks = [block for stage in stages for block in stage.cells()]
    logits = network.head if settings["classes"] else None
    ends = name_layers(stem, blocks, head=head, pooled=network.backbone, logits=logits)
    return hooked(call, loader, network, ends, inputs)


def build(settings):
    """Return the call and mindvision's network with the facts, or raise CannotBuild."""
    from mindspore import nn
    from mindvision.classification import models

    name, classes = settings["name"], settings["classes"]
    refuse_other_facts("mindvision", settings, bn_eps=(1e-3, 1e-5) if name in WIDE else (1e-5,), padding="symmetric")
    if settings["in_channels"] != 3:
        raise CannotBuild(f"mindvision has in_channels 3, not {settings['in_channels']}")
    if name in WIDE and settings["bn_eps"] == 1e-5:
        call, network = build_as_configured(name, classes or 1)
    else:
        function, arguments = "efficientnet_" + name, {"num_classes": classes or 1}
        network = getattr(models, function)(**arguments)
        call = call_text("mindvision.classification.models." + function, **arguments)
    if not classes:  # its Dense does not accept 0 classes
        network.head = nn.Identity()
        call += " without head"
    return call, network


def build_as_configured(name, classes):
    """Return the network of a YAML config in mindvision 0.1.0, where wide networks have MindSpore's own eps, 1e-5."""
    from mindspore import nn
    from mindvision.classification import models
    from mindvision.classification.models import backbones

    width, depth, channels, dropout = WIDE[name]
    backbone = backbones.EfficientNet(width, depth, norm_layer=nn.BatchNorm2d)
    head = models.DenseHead(channels, classes, keep_prob=1 - dropout)
    call = "BaseClassifier(EfficientNet(%s, %s, norm_layer=nn.BatchNorm2d), head=DenseHead(%s, %s, keep_prob=%s))"
    return call % (width, depth, channels, classes, 1 - dropout), models.BaseClassifier(backbone, head=head)


RUNNER = Runner(framework="mindvision", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

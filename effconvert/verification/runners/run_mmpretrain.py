"""Runner of OpenMMLab mmpretrain's own EfficientNet: it runs weights and saves the output of every layer.

It needs only numpy and mmpretrain, on Python 3.9 or later, and not effconvert.
"""

from pathlib import Path

from .base import CannotBuild, CannotLoad, Runner, call_text, name_layers
from .torch_base import (
    hooked,
    load_tensors,
    repair_torchvision,
    require_epsilon,
    require_facts,
    start_torch,
    state_in,
)

PACKAGES = ("mmpretrain", "mmengine", "mmcv", "mmcv-lite", "torchvision", "torch")


def start():
    """Import the framework, and select plain float32."""
    start_torch()
    repair_torchvision()
    import mmpretrain  # noqa: F401


def make_network(file, tensors, settings, inputs):
    """Return mmpretrain's network with the weights."""
    call, network = build(settings)
    loader = load_file(network, file, settings["raw"]) if tensors is None else load_tensors(network, tensors)
    require_epsilon("mmpretrain", network, settings)
    stem, *stages, head = network.backbone.layers
    blocks = [block for stage in stages for block in stage]
    logits = network.head.fc if settings["classes"] else None
    entries = name_layers(stem, blocks, head=head, pooled=network.neck, logits=logits)
    return hooked(call, loader, network, entries, inputs)


def build(settings):
    """Return the call and mmpretrain's network with the facts, or raise CannotBuild."""
    import mmpretrain

    path = configuration(settings["name"])
    edge = settings["name"] in ("es", "em")
    facts = {"activation": "relu", "fused_stride": "expand"} if edge else {"activation": "silu"}
    require_facts("mmpretrain", settings, padding="tf-same", head_conv=True, in_channels=3, **facts)
    backbone = {} if settings.get("usual") else {"norm_cfg": {"type": "BN", "eps": settings["bn_eps"]}}
    head = {"num_classes": settings["classes"]} if settings["classes"] else None
    call = call_text("mmpretrain.get_model", path.name, backbone=backbone, head=head)
    return call, mmpretrain.get_model(str(path), backbone=backbone, head=head)


def configuration(name):
    """Return the path of mmpretrain's own configuration of the network."""
    import mmpretrain

    if name == "el":
        raise CannotBuild("mmpretrain's arch 'el' has 120 channels in the first block; EdgeTPU-L has 128")
    kinds = {"es": "8xb32-01norm_in1k", "em": "8xb32-01norm_in1k", "l2": "8xb8_in1k-800px"}
    file = f"efficientnet-{name}_{kinds.get(name, '8xb32_in1k')}.py"
    path = Path(mmpretrain.__path__[0]) / ".mim" / "configs" / "efficientnet" / file
    if not path.exists():
        raise CannotBuild(f"mmpretrain has no EfficientNet {name}: there is no {path}")
    return path


def load_file(network, file, raw):
    """Load the file strictly with mmengine, and return the loader's name; raise CannotLoad if it refuses."""
    from mmengine.runner import load_checkpoint

    try:
        content = state_in(file)  # with an older PyTorch mmengine itself would run code from the file
        if file.endswith(".safetensors"):
            network.load_state_dict(content)
            return "load_state_dict"
        if raw and "ema_state_dict" in content:
            raise CannotLoad("mmengine loads the averages, which are in state_dict if there is an ema_state_dict")
        load_checkpoint(network, file, map_location="cpu", strict=True)
    except CannotLoad:
        raise
    except Exception as error:
        raise CannotLoad(f"mmengine.runner.load_checkpoint: {error}") from error
    return "mmengine.runner.load_checkpoint"


RUNNER = Runner(framework="mmpretrain", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

"""Runner of the EfficientNet in Hugging Face's transformers: it runs weights and saves the output of every layer.

It needs only numpy and transformers with torch, on Python 3.9 or later, and not effconvert.
"""

import json
import math
from operator import attrgetter
from pathlib import Path

from .base import CannotBuild, CannotLoad, Runner, call_text, name_layers
from .torch_base import hooked, load_tensors, repair_torchvision, require_epsilon, require_facts, start_torch

PACKAGES = ("transformers", "torch")

# Width, depth and channels of the head: the defaults of EfficientNetConfig() are b7's.
SCALES = {
    "b0": (1.0, 1.0, 1280),
    "b1": (1.0, 1.1, 1280),
    "b2": (1.1, 1.2, 1408),
    "b3": (1.2, 1.4, 1536),
    "b4": (1.4, 1.8, 1792),
    "b5": (1.6, 2.2, 2048),
    "b6": (1.8, 2.6, 2304),
    "b7": (2.0, 3.1, 2560),
}
# The files that from_pretrained loads from a folder; it takes the first that exists.
TAKEN = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
# The entries of a configuration that define the network.
RECORDED = ("width_coefficient", "depth_coefficient", "image_size", "depthwise_padding", "batch_norm_eps", "hidden_act")
RECORDED += ("num_channels",)


def start():
    """Import the framework, and select plain float32."""
    start_torch()
    repair_torchvision()
    from transformers import EfficientNetForImageClassification  # noqa: F401


def make_network(file, tensors, settings, inputs):
    """Return the network of transformers with the weights."""
    import transformers

    require_facts("huggingface", settings, padding="tf-same", head_conv=True)
    name = "EfficientNetForImageClassification" if settings["classes"] else "EfficientNetModel"
    architecture, sizes = getattr(transformers, name), inputs["images"].shape[2:]
    config = config_beside(file)
    if config is None and tensors is None:
        raise CannotLoad(f"there is no config.json of an EfficientNet beside {file}")
    config = config or config_of(settings, sizes[0])
    check_config(config, settings, sizes)
    if tensors is None:
        network, loader = load_folder(architecture, Path(file)), "from_pretrained"
    else:
        network = architecture(config)
        loader = load_tensors(network, tensors)
    network.float()
    require_epsilon("huggingface", network, settings)
    call = call_text(f"transformers.{name}", **{name: getattr(config, name) for name in RECORDED})
    result = attrgetter("logits" if settings["classes"] else "pooler_output")
    return hooked(call, loader, network, entries_of(network, settings), inputs, result)


def entries_of(network, settings):
    """Return [(layer, its first module)]."""
    bare, logits = (network.efficientnet, network.classifier) if settings["classes"] else (network, None)
    encoder = bare.encoder
    return name_layers(bare.embeddings, encoder.blocks, head=encoder.top_conv, pooled=bare.pooler, logits=logits)


def folder_of(file):
    """Return the file if it is a folder, else its folder."""
    path = Path(file)
    return path if path.is_dir() else path.parent


def config_beside(file):
    """Return the configuration of an EfficientNet beside the file, or None."""
    from transformers import EfficientNetConfig

    path = folder_of(file) / "config.json"
    if not path.exists():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(said, dict) or said.get("model_type") != "efficientnet":
            return None
        return EfficientNetConfig.from_dict(said)
    except Exception as error:
        raise CannotBuild(f"{path}: {error}") from error


def config_of(settings, size):
    """Return a configuration with the facts, with paddings for images of `size` pixels."""
    from transformers import EfficientNetConfig

    if settings["name"] not in SCALES:
        raise CannotBuild(f"transformers has no EfficientNet {settings['name']}")
    if size % 2:
        raise CannotBuild(f"images of {size} pixels: transformers' stem pads odd sizes differently than TensorFlow")
    width, depth, channels = SCALES[settings["name"]]
    config = EfficientNetConfig(
        image_size=size,
        width_coefficient=width,
        depth_coefficient=depth,
        hidden_dim=channels,
        hidden_act="swish" if settings["activation"] == "silu" else settings["activation"],
        num_labels=settings["classes"],
        num_channels=settings["in_channels"],
    )
    if not settings.get("usual"):
        config.batch_norm_eps = settings["bn_eps"]
    config.depthwise_padding = odd_blocks(config, size)
    return config


def check_config(config, settings, sizes):
    """Raise CannotBuild if the configuration differs from the settings, or is not for images of these sizes."""
    said = {
        "width, depth": (config.width_coefficient, config.depth_coefficient),
        "bn_eps": config.batch_norm_eps,
        "activation": {"swish": "silu"}.get(config.hidden_act, config.hidden_act),
        "in_channels": config.num_channels,
    }
    asked = {"width, depth": SCALES.get(settings["name"], ())[:2]}
    asked.update((name, settings[name]) for name in ("bn_eps", "activation", "in_channels"))
    wrong = [f"{name} {fact}, not {asked[name]}" for name, fact in said.items() if fact != asked[name]]
    own = config.image_size if isinstance(config.image_size, int) else config.image_size[0]
    wrong += [
        f"paddings for images of {own} pixels, which differ from those for {size}"
        for size in sorted(set(sizes))
        if (size % 2, odd_blocks(config, size)) != (own % 2, odd_blocks(config, own))
    ]
    if wrong:
        raise CannotBuild(f"the configuration of the EfficientNet has {'; '.join(wrong)}")


def odd_blocks(config, size):
    """Return the strided blocks with an odd input size, which pad both sides equally; images have `size` pixels."""
    index, found, side = 0, [], math.ceil(size / 2)
    for stride, repeats in zip(config.strides, config.num_block_repeats):
        for repeat in range(math.ceil(config.depth_coefficient * repeats)):
            if repeat == 0 and stride == 2:
                found += [index] if side % 2 else []
                side = math.ceil(side / 2)
            index += 1
    return found


def load_folder(architecture, file):
    """Return the network in the folder, loaded by transformers without missing or unexpected tensors."""
    folder = folder_of(file)
    taken = next((name for name in TAKEN if (folder / name).exists()), None)
    if not file.is_dir() and file.name != taken:
        raise CannotLoad(f"from_pretrained loads {taken} and not {file.name}")
    try:
        network, told = architecture.from_pretrained(str(folder), output_loading_info=True, local_files_only=True)
    except Exception as error:
        raise CannotLoad(f"from_pretrained: {error}") from error
    # A file from another framework has no batch counters, and only training reads them.
    wrong = [
        f"{kind} {key}"
        for kind, keys in told.items()
        for key in sorted(map(str, keys))
        if not key.endswith("num_batches_tracked")
    ]
    if wrong:
        raise CannotLoad(f"from_pretrained: {', '.join(wrong)}")
    return network


RUNNER = Runner(framework="huggingface", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

"""Runs the EfficientNet of Hugging Face's transformers on a folder of weights and saves what every layer gives.

Needs numpy and transformers with torch only, on Python 3.9 or later; nothing of effconvert. To run it elsewhere, copy
this file:

    python run_huggingface.py FILE --settings settings.json --inputs inputs.npz --out run.npz

`effconvert run FILE --framework huggingface --prepare FOLDER` writes settings and inputs.
"""

import argparse
import hashlib
import json
import math
import platform
import sys
import traceback
from importlib import metadata
from pathlib import Path

import numpy as np

FRAMEWORK = "huggingface"
PACKAGES = ("transformers", "torch")

# Width, depth and channels of the head: EfficientNetConfig() is b7's.
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
# What from_pretrained takes from a folder, the first that is there.
TAKEN = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")


def start():
    """Import the framework, and make it compute in plain float32."""
    start_torch()
    repair_torchvision()
    from transformers import EfficientNetForImageClassification  # noqa: F401


def run(file, tensors, settings, inputs):
    """Return what was built, how it was loaded, and a function from feed to {layer: output}."""
    import transformers

    require_facts(settings, padding="tf-same", head_conv=True)
    name = "EfficientNetForImageClassification" if settings["classes"] else "EfficientNetModel"
    architecture, sizes = getattr(transformers, name), inputs["images"].shape[2:]
    config = config_beside(file)
    if config is None and tensors is None:
        raise CannotLoad(f"no config.json of an EfficientNet is with {file}")
    config = config or config_of(settings, sizes[0])
    check_config(config, settings, sizes)
    if tensors is None:
        loader = "from_pretrained"
        network = loaded(architecture, Path(file))
    else:
        loader = "load_state_dict of given tensors"
        network = architecture(config)
        load_tensors(network, tensors)
    network.float().eval()
    require_epsilon(network, settings)
    words = f"transformers.{name}({in_words(config)})"
    entries, result = entries_of(network, settings)
    return words, loader, lambda feed: record(network, entries, inputs["images"], feed, result)


def entries_of(network, settings):
    """Return [(layer, the module where it begins)], and what takes the last layer's output out of the network's."""
    bare = network.efficientnet if settings["classes"] else network
    entries = [("stem", bare.embeddings)]
    entries += [(f"blocks.{index}", block) for index, block in enumerate(bare.encoder.blocks)]
    entries += [("head", bare.encoder.top_conv), ("pooled", bare.pooler)]
    if not settings["classes"]:
        return entries, lambda output: output.pooler_output
    return [*entries, ("logits", network.classifier)], lambda output: output.logits


def folder_of(file):
    """Return the folder that is, or holds, the file."""
    path = Path(file)
    return path if path.is_dir() else path.parent


def config_beside(file):
    """Return the configuration of an EfficientNet that is with the file, or None."""
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
    """Return a configuration with the facts, its paddings made for images of `size` pixels."""
    from transformers import EfficientNetConfig

    if settings["name"] not in SCALES:
        raise CannotBuild("transformers has no EfficientNet {}".format(settings["name"]))
    if size % 2:
        raise CannotBuild(f"images of {size} pixels: transformers' stem pads odd sizes otherwise than TensorFlow")
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
    """Raise CannotBuild where the configuration is not what is asked for, or not made for images of these sizes."""
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
        f"paddings for images of {own} pixels, which are others than for {size}"
        for size in sorted(set(sizes))
        if (size % 2, odd_blocks(config, size)) != (own % 2, odd_blocks(config, own))
    ]
    if wrong:
        raise CannotBuild("the configuration of the EfficientNet has {}".format("; ".join(wrong)))


def odd_blocks(config, size):
    """Return the strided blocks that meet an odd size, and so pad both sides alike; images have `size` pixels."""
    index, found, side = 0, [], math.ceil(size / 2)
    for stride, repeats in zip(config.strides, config.num_block_repeats):
        for repeat in range(math.ceil(config.depth_coefficient * repeats)):
            if repeat == 0 and stride == 2:
                found += [index] if side % 2 else []
                side = math.ceil(side / 2)
            index += 1
    return found


def in_words(config):
    """Return what makes the network of the configuration, in words."""
    names = (
        "width_coefficient",
        "depth_coefficient",
        "image_size",
        "depthwise_padding",
        "batch_norm_eps",
        "hidden_act",
        "num_channels",
    )
    return ", ".join(f"{name}={getattr(config, name)!r}" for name in names)


def loaded(architecture, file):
    """Return the network in the folder as transformers loads it; nothing missing, nothing left over."""
    folder = folder_of(file)
    taken = next((name for name in TAKEN if (folder / name).exists()), None)
    if not file.is_dir() and file.name != taken:
        raise CannotLoad(f"from_pretrained takes {taken} and not {file.name}")
    try:
        network, told = architecture.from_pretrained(str(folder), output_loading_info=True, local_files_only=True)
    except Exception as error:
        raise CannotLoad(f"from_pretrained: {error}") from error
    # A file of another framework has no counters of batches, and nothing but training reads them.
    wrong = [
        f"{kind} {key}"
        for kind, keys in told.items()
        for key in sorted(map(str, keys))
        if not key.endswith("num_batches_tracked")
    ]
    if wrong:
        raise CannotLoad("from_pretrained: {}".format(", ".join(wrong)))
    return network


# ---- The same text in every runner of a PyTorch library ----------------------------------------------------------


def start_torch():
    """Import torch and keep it from rounding to TF32."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.set_grad_enabled(False)


def repair_torchvision():
    """Define what a torchvision built for CUDA lacks beside a PyTorch of the CPU, or it cannot be imported.

    Its compiled part does not load there, and two of its operators are declared but not defined: pytorch/vision#9085.
    """
    import torch

    if torch.version.cuda is None and not hasattr(torch.ops.torchvision, "nms"):
        repair_torchvision.library = torch.library.Library("torchvision", "DEF")  # kept alive
        for name in ("nms", "qnms"):
            repair_torchvision.library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def require_facts(settings, **facts):
    """Raise CannotBuild unless the settings are these facts, which are all that the library's network can have."""
    wrong = [f"{name} {fact}, not {settings[name]}" for name, fact in facts.items() if settings[name] != fact]
    if wrong:
        raise CannotBuild("{}'s EfficientNet {} has {}".format(FRAMEWORK, settings["name"], "; ".join(wrong)))


def require_epsilon(network, settings):
    """Raise CannotBuild unless every BatchNorm has the epsilon of the settings, also where the library chose it."""
    import torch

    norms = torch.nn.modules.batchnorm._BatchNorm
    found = sorted({module.eps for module in network.modules() if isinstance(module, norms)})
    if found != [settings["bn_eps"]]:
        said = " and ".join(map(str, found))
        raise CannotBuild("{}'s network has bn_eps {}, not {}".format(FRAMEWORK, said, settings["bn_eps"]))


def state_in(file):
    """Return what a file of PyTorch or safetensors holds; nothing that a file asks for is run."""
    import torch

    if file.endswith(".safetensors"):
        from safetensors.torch import load_file

        return load_file(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def load_tensors(network, tensors):
    """Load {name: array} strictly, but for the counters of batches, which PyTorch itself adds."""
    import torch

    state = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise CannotBuild(str(error)) from error


def record(network, entries, images, feed, result=lambda output: output):
    """Return {layer: its output} of one pass; a layer in `feed` is given that in place of what arrives.

    entries: [(layer, the module where it begins)] in order. What arrives at one layer is what the last one gave.
    result: takes the last layer's output out of the network's.
    """
    import torch

    layers, names = {}, [name for name, _ in entries]

    def hook_of(number):
        def hook(module, arriving):
            if number:
                layers[names[number - 1]] = as_array(arriving[0])
            if names[number] in feed:
                return (as_given(arriving[0], feed[names[number]]), *arriving[1:])
            return None

        return hook

    hooks = [module.register_forward_pre_hook(hook_of(number)) for number, (_, module) in enumerate(entries)]
    try:
        with torch.no_grad():
            layers[names[-1]] = as_array(result(network(torch.from_numpy(images))))
    finally:
        for hook in hooks:
            hook.remove()
    return layers


def as_array(value):
    """Return a module's input or output as an array of its own; of several maps the last."""
    while isinstance(value, (list, tuple)):
        value = value[-1]
    return value.detach().float().numpy().copy()


def as_given(arriving, array):
    """Return the array in the form of what arrives."""
    import torch

    if isinstance(arriving, (list, tuple)):
        return type(arriving)([*arriving[:-1], as_given(arriving[-1], array)])
    return torch.from_numpy(array).reshape(arriving.shape)


# ---- The same text in every runner -------------------------------------------------------------------------------

SCHEMA = "effconvert/run/1"


class CannotLoad(Exception):
    """The library's own loader does not take the file; effconvert then reads it and gives the tensors."""


class CannotBuild(Exception):
    """The library has no network with the facts or the shapes that are asked for."""


def main():
    """Run the network on the inputs, write what every layer gave, and return the exit code."""
    arguments = parsed_arguments()
    try:
        start()
    except ImportError as error:
        return failed(f"{FRAMEWORK} cannot be imported: {error}", 9)
    if arguments.check:
        print(json.dumps(versions()))
        return 0
    try:
        write_run(arguments)
    except CannotLoad as error:
        return failed(error, 10)
    except CannotBuild as error:
        return failed(error, 4)
    except Exception as error:
        traceback.print_exc()
        return failed(f"{type(error).__name__}: {error}", 1)
    return 0


def parsed_arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="the weights")
    parser.add_argument("--settings", metavar="JSON", help="variant and facts of the network")
    parser.add_argument(
        "--inputs", metavar="NPZ", help="images [N, C, H, W], normalised, and the mean and std that did it"
    )
    parser.add_argument("--tensors", metavar="NPZ", help="to load in place of the file, by the library's own names")
    parser.add_argument("--feed", metavar="NPZ", help="another run: each layer is also given what it got there")
    parser.add_argument("--out", metavar="NPZ", help="the run to write")
    parser.add_argument("--check", action="store_true", help="import the framework, print versions, do nothing else")
    arguments = parser.parse_args()
    if not arguments.check and not all((arguments.file, arguments.settings, arguments.inputs, arguments.out)):
        parser.error("FILE, --settings, --inputs and --out are needed")
    return arguments


def write_run(arguments):
    """Run the network with and without feed, and write the run."""
    with open(arguments.settings, encoding="utf-8") as file:
        settings = json.load(file)
    inputs = arrays_in(arguments.inputs)
    tensors = arrays_in(arguments.tensors) if arguments.tensors else None
    check_file(arguments.file, settings)
    words, loader, forward = run(arguments.file, tensors, settings, inputs)
    layers = forward({})
    fed = forward(fed_inputs(arrays_in(arguments.feed))) if arguments.feed else {}
    record_of_run = {
        "schema": SCHEMA,
        "framework": FRAMEWORK,
        "network": words,
        "loader": loader,
        "file": arguments.file,
        "settings": settings,
        "layers": list(layers),
        "inputs_sha256": hashlib.sha256(np.ascontiguousarray(inputs["images"]).tobytes()).hexdigest(),
        "computing": {"dtype": "float32", "tf32": False, "autocast": False},
        "versions": versions(),
    }
    arrays = {"layer/" + name: shaped(name, array) for name, array in layers.items()}
    arrays.update(("fed/" + name, shaped(name, array)) for name, array in fed.items())
    arrays.update((name, inputs[name]) for name in ("images", "mean", "std"))
    with open(arguments.out, "wb") as file:
        np.savez(file, run=np.array(json.dumps(record_of_run, sort_keys=True)), **arrays)


def check_file(file, settings):
    """Raise CannotBuild unless the file is the one that the settings were made for."""
    path, expected = Path(file), settings.get("sha256", {})
    for name in sorted(expected):
        places = [path, path.parent / name, path / name, path / "variables" / name]
        found = [place for place in places if place.is_file() and place.name == name]
        if not found and path.is_file() and len(expected) == 1:
            found = [path]  # renamed on its way
        if found and sha256_of(found[0]) != expected[name]:
            raise CannotBuild(f"{found[0]} is not the file that the settings were made for: its SHA-256 is another")


def sha256_of(path):
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()


def arrays_in(path):
    """Return {name: array} of an .npz."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def fed_inputs(other):
    """Return {layer: what entered it} of another run: what the layer before gave."""
    names = json.loads(str(other["run"]))["layers"]
    return {name: other["layer/" + before] for before, name in zip(names, names[1:])}


def shaped(name, array):
    """Return the output of a layer as float32 [N, C, H, W], and of the last two as [N, C]."""
    array = np.asarray(array, np.float32)
    return array.reshape(len(array), -1) if name in ("pooled", "logits") else array


def versions():
    """Return {package: version} of Python, numpy and the framework."""
    found = {"python": platform.python_version(), "numpy": np.__version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def failed(message, code):
    """Print what went wrong as the last line, and return the exit code."""
    print("{}: {}".format(FRAMEWORK, " ".join(str(message).split())), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())

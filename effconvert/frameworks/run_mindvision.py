"""Runs mindvision's own EfficientNet on a file of weights and saves what every layer gives.

Needs numpy and mindvision only, on Python 3.9 or later; nothing of effconvert. To run it elsewhere, copy this file:

    python run_mindvision.py FILE --settings settings.json --inputs inputs.npz --out run.npz

`effconvert run FILE --framework mindvision --prepare FOLDER` writes settings and inputs.
"""

import argparse
import hashlib
import importlib
import json
import platform
import sys
import traceback
from importlib import metadata
from pathlib import Path

import numpy as np

FRAMEWORK = "mindvision"
PACKAGES = ("mindvision", "mindspore")

# What its efficientnet_b5 to b7 give its EfficientNet and its DenseHead: width, depth, channels, dropout.
WIDE = {"b5": (1.6, 2.2, 2048, 0.4), "b6": (1.8, 2.6, 2304, 0.5), "b7": (2.0, 3.1, 2560, 0.5)}


def start():
    """Import the framework, and make it compute in plain float32."""
    start_mindspore()
    repair_mindspore()
    import mindvision.classification  # noqa: F401


def repair_mindspore():
    """Give MindSpore the modules of data sets that it dropped after 2.0, or mindvision cannot be imported.

    None of its networks uses them.
    """
    for name in ("mindspore.dataset.vision", "mindspore.dataset.transforms"):
        module = importlib.import_module(name)
        for dropped in ("c_transforms", "py_transforms"):
            try:
                importlib.import_module(name + "." + dropped)
            except ImportError:
                sys.modules[name + "." + dropped] = module
                setattr(module, dropped, module)


def run(file, tensors, settings, inputs):
    """Return what was built, how it was loaded, and a function from feed to {layer: output}."""
    network, words = build(settings)
    loader = load(network, file, tensors, settings["raw"])
    network.set_train(False)
    ends = ends_of(network, settings["classes"])
    return words, loader, lambda feed: record(network, ends, inputs["images"], feed)


def build(settings):
    """Return the network of mindvision that has the facts, and the call that builds it."""
    from mindspore import nn
    from mindvision.classification import models

    name, classes = settings["name"], settings["classes"]
    refuse_other_facts(settings, bn_eps=(1e-3, 1e-5) if name in WIDE else (1e-5,), padding="symmetric")
    if settings["in_channels"] != 3:
        raise CannotBuild("mindvision has in_channels 3, not {}".format(settings["in_channels"]))
    if name in WIDE and settings["bn_eps"] == 1e-5:
        network, words = build_as_configured(name, classes or 1)
    else:
        network = getattr(models, "efficientnet_" + name)(num_classes=classes or 1)
        words = f"mindvision.classification.models.efficientnet_{name}(num_classes={classes or 1})"
    if not classes:  # its Dense takes no 0 classes
        network.head = nn.Identity()
        words += " without head"
    return network, words


def build_as_configured(name, classes):
    """Return what a YAML config builds with mindvision 0.1.0: there a wide network has MindSpore's own eps, 1e-5."""
    from mindspore import nn
    from mindvision.classification import models
    from mindvision.classification.models import backbones

    width, depth, channels, dropout = WIDE[name]
    backbone = backbones.EfficientNet(width, depth, norm_layer=nn.BatchNorm2d)
    head = models.DenseHead(channels, classes, keep_prob=1 - dropout)
    words = "BaseClassifier(EfficientNet(%s, %s, norm_layer=nn.BatchNorm2d), head=DenseHead(%s, %s, keep_prob=%s))"
    return models.BaseClassifier(backbone, head=head), words % (width, depth, channels, classes, 1 - dropout)


def ends_of(network, classes):
    """Return [(layer, the cell that gives its output)] in order."""
    stem, *stages, head = network.backbone.features.cells()
    blocks = [block for stage in stages for block in stage.cells()]
    ends = [("stem", stem)]
    ends += [(f"blocks.{index}", block) for index, block in enumerate(blocks)]
    ends += [("head", head), ("pooled", network.backbone)]
    return ends + ([("logits", network.head)] if classes else [])


# ---- The same text in every runner of a MindSpore library --------------------------------------------------------


def start_mindspore():
    """Import MindSpore and let it compute on the CPU, one operation after another, so that hooks are called."""
    import mindspore

    mindspore.set_context(mode=mindspore.PYNATIVE_MODE)
    if hasattr(mindspore, "set_device"):
        mindspore.set_device("CPU")
    else:  # before MindSpore 2.5
        mindspore.set_context(device_target="CPU")
    try:
        mindspore.Tensor([1.0]) * mindspore.Tensor([1.0])
    except SystemError as error:  # built for NumPy 1, it is imported beside NumPy 2 but cannot multiply there
        raise ImportError(f"MindSpore does not compute beside numpy {np.__version__}; install numpy<2") from error


def refuse_other_facts(settings, bn_eps, padding):
    """Refuse settings of a network that the library does not have.

    bn_eps: those that the library gives the variant. padding: that of all its networks.
    """
    has = {
        "name": [f"b{number}" for number in range(8)],
        "bn_eps": bn_eps,
        "padding": (padding,),
        "activation": ("silu",),
        "head_conv": (True,),
        "normalization": ("outside",),
    }
    problems = [
        "{}={} (it has {})".format(fact, settings[fact], " or ".join(map(str, values)))
        for fact, values in has.items()
        if settings[fact] not in values
    ]
    if problems:
        raise CannotBuild("{} builds no EfficientNet with {}".format(FRAMEWORK, ", ".join(problems)))


def load(network, file, tensors, raw):
    """Load the file, or the tensors that were given in its place; return how, in words."""
    import mindspore

    if tensors is None:
        weights = read_file(file)
        averages = set() if raw else {"ema"}  # MindCV keeps them beside the weights, and loads them only when asked
        refuse(CannotLoad, problems_of(network, weights, averages))
    else:
        values = {name: mindspore.Tensor(np.asarray(array, np.float32)) for name, array in tensors.items()}
        weights = {name: mindspore.Parameter(value, name=name) for name, value in values.items()}
        refuse(CannotBuild, problems_of(network, weights, {first_word(name) for name in weights}))
    try:
        mindspore.load_param_into_net(network, weights, strict_load=True)
    except Exception as error:  # above all, weights of another precision
        raise CannotLoad(f"mindspore.load_param_into_net: {error}") from error
    return "mindspore.load_checkpoint" if tensors is None else "load_param_into_net of given tensors"


def read_file(file):
    """Return {name: parameter} of the file, as MindSpore reads it, without the texts in it."""
    import mindspore

    options = {"format": "safetensors"} if file.endswith(".safetensors") else {}
    try:
        weights = mindspore.load_checkpoint(file, **options)
    except Exception as error:  # whatever it cannot read, effconvert's own reader can
        raise CannotLoad(f"mindspore.load_checkpoint: {error}") from error
    return {name: value for name, value in weights.items() if isinstance(value, mindspore.Parameter)}


def problems_of(network, weights, scopes):
    """Return what the weights lack, what has another shape, and what is left over, in words.

    What training adds may be left over: slots of the optimizer and counters. Their names start neither as those of
    the network do nor with one of `scopes`.
    """
    wanted = {parameter.name: parameter.shape for parameter in network.get_parameters()}
    found = {name: weights[name].shape for name in wanted if name in weights}
    scopes = scopes | {first_word(name) for name in wanted}
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [
        f"{name} is {list(shape)}, and {list(wanted[name])} in the network"
        for name, shape in found.items()
        if shape != wanted[name]
    ]
    unknown = [name for name in weights if name not in wanted and first_word(name) in scopes]
    return problems + [f"{name} has no place in the network" for name in unknown]


def first_word(name):
    """Return a parameter's name up to its first dot."""
    return name.split(".")[0]


def refuse(kind, problems):
    """Raise an error of the kind that shows the first problems and counts them all, if there are any."""
    if problems:
        raise kind("{} parameters do not fit: {}".format(len(problems), "; ".join(problems[:5])))


def record(network, ends, images, feed):
    """Return {layer: its output} of one pass; a layer in `feed` is given that in place of what arrives.

    ends: [(layer, the cell that gives its output)] in order. What a layer is given takes the place of the output of
    the one before, once that is kept.
    """
    import mindspore

    names, layers = [name for name, _ in ends], {}
    following = dict(zip(names, names[1:]))

    def hook_of(name):
        def hook(cell, arriving, output):
            layers[name] = np.array(output.asnumpy())
            if following.get(name) in feed:
                return mindspore.Tensor(feed[following[name]].reshape(output.shape))
            return None

        return hook

    hooks = [cell.register_forward_hook(hook_of(name)) for name, cell in ends]
    try:
        network(mindspore.Tensor(images))
    finally:
        for hook in hooks:
            hook.remove()
    return layers


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

"""Runs Keras's own EfficientNet on a file of weights and saves what every layer gives.

Needs numpy and Keras with one of its backends only, on Python 3.9 or later; nothing of effconvert. To run it elsewhere,
copy this file:

    python run_keras.py FILE --settings settings.json --inputs inputs.npz --out run.npz

`effconvert run FILE --framework keras --prepare FOLDER` writes settings and inputs.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import re
import sys
import tempfile
import traceback
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np

FRAMEWORK = "keras"
PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "torch")

# Keras's published weights hold these as the variance, so that their graph divides by the square roots once more.
IMAGENET_STD = np.array([0.229, 0.224, 0.225])


def start():
    """Import the framework, and make it compute in plain float32 on the CPU."""
    for variable, value in (("TF_CPP_MIN_LOG_LEVEL", "2"), ("TF_ENABLE_ONEDNN_OPTS", "0")):
        os.environ.setdefault(variable, value)  # else TensorFlow talks on stderr
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    if keras.__version__.startswith("2."):
        raise ImportError(f"Keras 3 is needed, this is {keras.__version__}")
    keras.config.set_floatx("float32")  # a user's own configuration may say otherwise
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")


def run(file, tensors, settings, inputs):
    """Return what was built, how it was loaded, and a function from feed to {layer: output}."""
    import keras

    size = inputs["images"].shape[2:]
    if tensors is None:
        network, words, loader = loaded(file, settings, size)
    else:
        network, words = built(settings, size)
        loader = "given tensors"
        load_tensors(network, tensors)
        normalise_as(network, inputs["mean"], inputs["std"], settings["normalization"])
    refuse_other_facts(network, settings)
    parts = parts_of(network)
    words += f", on {keras.backend.backend()}"
    return words, loader, lambda feed: forward(parts, pixels_of(inputs), feed)


# ---- Building: what keras.applications has, and the graph of its published weights -------------------------------


def built(settings, size):
    """Return the network of keras.applications for images of `size` (H, W), and what was called."""
    import keras

    name, classes = "EfficientNet" + settings["name"], settings["classes"]
    if not hasattr(keras.applications, name):
        raise CannotBuild(f"keras.applications has no {name}")
    if settings["padding"] != "tf-same" or not settings["head_conv"]:
        raise CannotBuild("keras.applications pads tf-same and ends after the head's convolution")
    top = {"classes": classes, "classifier_activation": None} if classes else {"include_top": False, "pooling": "avg"}
    shape = (*size, settings["in_channels"])
    network = getattr(keras.applications, name)(weights=None, input_shape=shape, **top)
    if settings["normalization"] == "keras-imagenet":
        return as_published(network, name, shape, classes)
    arguments = "".join(", {}={!r}".format(*item) for item in top.items())
    return network, f"keras.applications.{name}(weights=None, input_shape={shape!r}{arguments})"


def as_published(plain, name, shape, classes):
    """Return the network with the second Rescaling, which keras.applications builds around published weights only.

    With its own top it takes one size and 1000 classes, so that the top is put on here.
    """
    import keras

    with tempfile.TemporaryDirectory() as folder:
        weights = folder + "/plain.weights.h5"
        keras.Model(plain.input, plain.get_layer("top_activation").output).save_weights(weights)
        with downloads_give(weights):
            network = getattr(keras.applications, name)(include_top=False, pooling="avg", input_shape=shape)
    words = f"keras.applications.{name}(weights='imagenet', include_top=False, input_shape={shape!r})"
    if classes:
        logits = keras.layers.Dense(classes, name="predictions")(network.output)
        network, words = (
            keras.Model(network.input, logits),
            words + f" under GlobalAveragePooling2D, Dense({classes})",
        )
    return network, words


@contextlib.contextmanager
def downloads_give(file):
    """Let keras.applications find `file` where it would download the published weights."""
    from keras.src.applications.efficientnet import file_utils

    original = file_utils.get_file
    file_utils.get_file = lambda *_, **__: file
    try:
        yield
    finally:
        file_utils.get_file = original


# ---- Loading: by Keras from the file, or given tensors -----------------------------------------------------------


def loaded(file, settings, size):
    """Return the network with the weights of the file, what was called, and what loaded it."""
    import keras

    try:
        config = graph_in(file)
        if config is not None:
            refuse_other_layers(config, settings, size)
            network, call = keras.models.load_model(file, compile=False, safe_mode=True), "keras.models.load_model"
            return (*resized(network, call + f"({file!r})", settings, size), call)
        if settings["normalization"] == "keras-imagenet":
            return (*published(file, settings, size), "load_weights of keras.applications")
        network, words = built(settings, size)
        refuse_other_count(file, network)
        network.load_weights(file)
        return network, words, "load_weights"
    except (CannotBuild, CannotLoad):
        raise
    except Exception as error:  # whatever it cannot read, effconvert's own reader can
        raise CannotLoad(f"{file}: {error}") from error


def graph_in(file):
    """Return the configuration of the model in the file, None of a file that holds weights only."""
    import h5py

    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(file, "r") as held:
        config = held.attrs.get("model_config")
    return None if config is None else json.loads(config)


def refuse_other_layers(config, settings, size):
    """Raise CannotLoad where the model is not made of the layers of keras.applications, as with a user's own on top."""
    network, _ = built({**settings, "normalization": "keras"}, size)
    expected = [(type(layer).__name__, layer.name) for layer in network.layers]
    if settings["normalization"] == "keras-imagenet":
        expected.append(("Rescaling", ""))
    found = [(layer["class_name"], layer["config"]["name"]) for layer in config["config"]["layers"]]
    found, expected = [plain_names(layers, pooled=settings["classes"]) for layers in (found, expected)]
    if found != expected:
        own = ["has " + name for name in found if name not in expected]
        own += ["lacks " + name for name in expected if name not in found]
        raise CannotLoad("not the layers of keras.applications: %s" % (", ".join(own) or "some stand there twice"))


def plain_names(layers, pooled):
    """Return class and name of every layer in order, without the numbers of a session; avg_pool only if `pooled`."""
    unnamed = ("InputLayer", "Rescaling", "Normalization")
    names = [kind if kind in unnamed else f"{kind} {name}" for kind, name in layers]
    return sorted(name for name in names if pooled or name != "GlobalAveragePooling2D avg_pool")


def refuse_other_count(file, network):
    """Raise CannotLoad where a .weights.h5 holds more than the network takes, which Keras would pass over."""
    import h5py

    names = []
    if file.endswith(".weights.h5"):
        with h5py.File(file, "r") as held:
            held.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    count = len([name for name in names if not re.search("seed_generator|^optimizer/", name)])
    if count and count != len(network.weights):
        raise CannotLoad(f"{file} holds {count} tensors, the network {len(network.weights)}")


def published(file, settings, size):
    """Return the network that keras.applications builds around the published weights, and what was called."""
    import keras

    name, classes = "EfficientNet" + settings["name"], settings["classes"]
    if classes not in (0, 1000):
        raise CannotLoad(f"keras.applications takes published weights for 1000 classes, not {classes}")
    top = {"classifier_activation": None} if classes else {"include_top": False, "pooling": "avg"}
    with downloads_give(file):
        network = getattr(keras.applications, name)(**top)
    return resized(network, f"keras.applications.{name}()", settings, size)


def resized(network, words, settings, size):
    """Return the network for images of `size`: Keras pads the stem for one size only."""
    if network.input_shape[-1] != settings["in_channels"]:
        raise CannotLoad("its input has {} channels, not {}".format(network.input_shape[-1], settings["in_channels"]))
    if any(layer.compute_dtype != "float32" for layer in network.layers):
        raise CannotLoad("its layers do not compute in float32")
    refuse_other_facts(network, settings)
    if network.input_shape[1:3] == tuple(size):
        return network, words
    other, call = built(settings, size)
    other.set_weights(network.get_weights())
    normalization_of(other).finalize_state()
    return other, f"{call} with the weights of {words}"


def load_tensors(network, tensors):
    """Load {path of the variable: array} strictly; a file that does not name layers has their classes, numbered."""
    named = "stem_conv/kernel" in tensors
    variables = variables_of(network, named)
    problems = [f"{name}: missing" for name in variables if name not in tensors]
    problems += [f"{name}: unexpected" for name in tensors if name not in variables]
    for name in variables:
        if name in tensors and tensors[name].shape != tuple(variables[name].shape):
            found, expected = list(tensors[name].shape), list(variables[name].shape)
            problems.append(f"{name}: {found}, expected {expected}")
    if problems:
        raise CannotBuild("; ".join(problems))
    for name, variable in variables.items():
        variable.assign(tensors[name])


def variables_of(network, named):
    """Return {"stem_conv/kernel": variable, ...}, or {"conv2d/kernel": variable, ...} where not `named`."""
    kinds = {"Conv2D": "conv2d", "DepthwiseConv2D": "depthwise_conv2d", "BatchNormalization": "batch_normalization"}
    kinds["Dense"] = "dense"
    variables, numbers = {}, dict.fromkeys(kinds, 0)
    for layer in network.layers:
        kind = type(layer).__name__
        if kind in kinds:
            number = f"_{numbers[kind]}" if numbers[kind] else ""
            numbers[kind] += 1
            for variable in layer.weights:
                leaf = variable.path.split("/")[-1].replace("depthwise_kernel", "kernel")
                variables[f"{layer.name if named else kinds[kind] + number}/{leaf}"] = variable
    return variables


def normalise_as(network, mean, std, normalization):
    """Let the network normalise pixels by these."""
    layer, variance = normalization_of(network), (std / 255) ** 2
    if normalization == "keras-imagenet":
        variance = variance / IMAGENET_STD
    values = [np.reshape(value, layer.weights[0].shape) for value in (mean / 255, variance)]
    layer.set_weights(values + [np.asarray(weight) for weight in layer.get_weights()[2:]])
    layer.finalize_state()


def normalization_of(network):
    """Return the layer that normalises pixels."""
    return next(layer for layer in network.layers if type(layer).__name__ == "Normalization")


# ---- Running: layer by layer -------------------------------------------------------------------------------------


def refuse_other_facts(network, settings):
    """Raise CannotBuild where the network is not what the settings say."""
    kinds = [(type(layer).__name__, layer) for layer in network.layers]
    activations = {layer.activation.__name__ for kind, layer in kinds if kind == "Activation"}
    twice = len([kind for kind, _ in kinds if kind == "Rescaling"]) == 2
    found = {
        "bn_eps": {layer.epsilon for kind, layer in kinds if kind == "BatchNormalization"},
        "activation": {{"hard_silu": "hswish"}.get(name, name) for name in activations},
        "normalization": {"keras-imagenet" if twice else "keras"},
    }
    wanted = {fact: settings[fact] for fact in found}
    if wanted["normalization"] == "outside":  # the canonical network's; here pixels are given, whatever the file's
        wanted["normalization"] = "keras"
    wrong = [f"{fact} {sorted(found[fact])}, not {wanted[fact]}" for fact in found if found[fact] != {wanted[fact]}]
    if wrong:
        raise CannotBuild("Keras's network has {}".format("; ".join(wrong)))


def parts_of(network):
    """Return [(layer, the part of the network from the end of the one before to its own)]."""
    import keras

    names = [layer.name for layer in network.layers]
    blocks = {}
    for name in names:
        match = re.fullmatch(r"block(\d+)([a-z])_(project_bn|add)", name)
        if match:
            place = int(match[1]), match[2]
            blocks[place] = max(name, blocks.get(place, ""), key=lambda end: end.endswith("_add"))
    ends = [("stem", "stem_activation")]
    ends += [(f"blocks.{index}", blocks[place]) for index, place in enumerate(sorted(blocks))]
    ends += [("head", "top_activation"), ("pooled", "avg_pool"), ("logits", "predictions")]
    if "predictions" in names:
        network.get_layer("predictions").activation = keras.activations.linear
    parts, entering = [], network.inputs[0]
    for layer, name in ends:
        if name in names:
            leaving = network.get_layer(name).output
            parts.append((layer, keras.Model(entering, leaving)))
            entering = leaving
    return parts


def forward(parts, pixels, feed):
    """Return {layer: output} of one pass; a layer in `feed` is given that in place of what arrives."""
    import keras

    layers, x = {}, pixels
    for name, part in parts:
        x = part(np.ascontiguousarray(np.moveaxis(feed[name], 1, -1)) if name in feed else x, training=False)
        layers[name] = np.ascontiguousarray(np.moveaxis(keras.ops.convert_to_numpy(x), -1, 1))
    return layers


def pixels_of(inputs):
    """Return the images as pixels float32 [N, H, W, C], which the network normalises itself."""
    images = np.moveaxis(inputs["images"].astype(np.float64), 1, -1)
    return (images * inputs["std"] + inputs["mean"]).astype(np.float32)


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

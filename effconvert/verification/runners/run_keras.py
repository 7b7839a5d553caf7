"""Runner of Keras's own EfficientNet: it runs a file of weights and saves the output of every layer.

It needs only numpy and Keras with one of its backends, on Python 3.9 or later, and not effconvert.
"""

import contextlib
import json
import os
import re
import tempfile
import zipfile

import numpy as np

from .base import CannotBuild, CannotLoad, Network, Runner, call_text
from .tensorflow_base import GIVEN, channels_first, channels_last, differences, keep_tensorflow_quiet, shapes_of

PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "torch")

# Keras's published weights contain these as the variance, so their graph divides by the square roots again.
IMAGENET_STD = np.array([0.229, 0.224, 0.225])


def start():
    """Import the framework, and select plain float32 on the CPU."""
    keep_tensorflow_quiet()
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras

    if keras.__version__.startswith("2."):
        raise ImportError(f"Keras 3 is needed, this is {keras.__version__}")
    keras.config.set_floatx("float32")  # a user's own configuration may be different
    keras.config.set_dtype_policy("float32")
    keras.config.set_image_data_format("channels_last")


def make_network(file, tensors, settings, inputs):
    """Return Keras's network with the weights."""
    import keras

    size = inputs["images"].shape[2:]
    if tensors is None:
        network, call, loader = load_file(file, settings, size)
    else:
        network, call = build(settings, size)
        loader = load_tensors(network, tensors)
        normalise_as(network, inputs["mean"], inputs["std"], settings["normalization"])
    refuse_other_facts(network, settings)
    parts, pixels = parts_of(network), pixels_of(inputs)
    return Network(f"{call}, on {keras.backend.backend()}", loader, lambda feed: run_parts(parts, pixels, feed))


def build(settings, size):
    """Return the network of keras.applications for images of `size` (H, W), and the call."""
    import keras

    name, classes = "EfficientNet" + settings["name"], settings["classes"]
    if not hasattr(keras.applications, name):
        raise CannotBuild(f"keras.applications has no {name}")
    if settings["padding"] != "tf-same" or not settings["head_conv"]:
        raise CannotBuild("keras.applications has only the padding tf-same and networks with the head's convolution")
    top = {"classes": classes, "classifier_activation": None} if classes else {"include_top": False, "pooling": "avg"}
    shape = (*size, settings["in_channels"])
    network = getattr(keras.applications, name)(weights=None, input_shape=shape, **top)
    if settings["normalization"] == "keras-imagenet":
        return as_published(network, name, shape, classes)
    return network, call_text(f"keras.applications.{name}", weights=None, input_shape=shape, **top)


def as_published(plain, name, shape, classes):
    """Return the network with the second Rescaling, which keras.applications adds only for its published weights.

    With its own top it has one size and 1000 classes, so the top is added here.
    """
    import keras

    with tempfile.TemporaryDirectory() as folder:
        weights = folder + "/plain.weights.h5"
        keras.Model(plain.input, plain.get_layer("top_activation").output).save_weights(weights)
        with downloads_give(weights):
            network = getattr(keras.applications, name)(include_top=False, pooling="avg", input_shape=shape)
    call = call_text(f"keras.applications.{name}", weights="imagenet", include_top=False, input_shape=shape)
    if classes:
        logits = keras.layers.Dense(classes, name="predictions")(network.output)
        network = keras.Model(network.input, logits)
        call += f" under GlobalAveragePooling2D, Dense({classes})"
    return network, call


@contextlib.contextmanager
def downloads_give(file):
    """Give keras.applications `file` instead of a download of the published weights."""
    from keras.src.applications.efficientnet import file_utils

    original = file_utils.get_file
    file_utils.get_file = lambda *_, **__: file
    try:
        yield
    finally:
        file_utils.get_file = original


def load_file(file, settings, size):
    """Return the network with the weights of the file, the call, and the loader's name."""
    import keras

    try:
        config = graph_in(file)
        if config is not None:
            refuse_other_layers(config, settings, size)
            network, call = keras.models.load_model(file, compile=False, safe_mode=True), "keras.models.load_model"
            return (*resized(network, call + f"({file!r})", settings, size), call)
        if settings["normalization"] == "keras-imagenet":
            return (*load_published(file, settings, size), "load_weights of keras.applications")
        network, call = build(settings, size)
        refuse_other_count(file, network)
        network.load_weights(file)
        return network, call, "load_weights"
    except (CannotBuild, CannotLoad):
        raise
    except Exception as error:  # effconvert's own reader may still read it
        raise CannotLoad(f"{file}: {error}") from error


def graph_in(file):
    """Return the configuration of the model in the file, None for a file with only weights."""
    import h5py

    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return json.loads(archive.read("config.json"))
    with h5py.File(file, "r") as held:
        config = held.attrs.get("model_config")
    return None if config is None else json.loads(config)


def refuse_other_layers(config, settings, size):
    """Raise CannotLoad if the model has other layers than keras.applications, e.g. a user's own on top."""
    network, _ = build({**settings, "normalization": "keras"}, size)
    expected = [(type(layer).__name__, layer.name) for layer in network.layers]
    if settings["normalization"] == "keras-imagenet":
        expected.append(("Rescaling", ""))
    found = [(layer["class_name"], layer["config"]["name"]) for layer in config["config"]["layers"]]
    found, expected = [plain_names(layers, pooled=settings["classes"]) for layers in (found, expected)]
    if found != expected:
        own = ["has " + name for name in found if name not in expected]
        own += ["lacks " + name for name in expected if name not in found]
        raise CannotLoad(f"not the layers of keras.applications: {', '.join(own) or 'some occur twice'}")


def plain_names(layers, pooled):
    """Return class and name of every layer, sorted, without a session's numbers; avg_pool only if `pooled`."""
    unnamed = ("InputLayer", "Rescaling", "Normalization")
    names = [kind if kind in unnamed else f"{kind} {name}" for kind, name in layers]
    return sorted(name for name in names if pooled or name != "GlobalAveragePooling2D avg_pool")


def refuse_other_count(file, network):
    """Raise CannotLoad if a .weights.h5 has more tensors than the network, which Keras would ignore silently."""
    import h5py

    names = []
    if file.endswith(".weights.h5"):
        with h5py.File(file, "r") as held:
            held.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    count = len([name for name in names if not re.search("seed_generator|^optimizer/", name)])
    if count and count != len(network.weights):
        raise CannotLoad(f"{file} has {count} tensors, the network has {len(network.weights)}")


def load_published(file, settings, size):
    """Return the network that keras.applications builds for its published weights, and the call."""
    import keras

    name, classes = "EfficientNet" + settings["name"], settings["classes"]
    if classes not in (0, 1000):
        raise CannotLoad(f"keras.applications loads published weights with 1000 classes, not {classes}")
    top = {"classifier_activation": None} if classes else {"include_top": False, "pooling": "avg"}
    with downloads_give(file):
        network = getattr(keras.applications, name)(**top)
    return resized(network, f"keras.applications.{name}()", settings, size)


def resized(network, call, settings, size):
    """Return the network for images of `size`, and the call; Keras fixes the stem's padding for one size."""
    if network.input_shape[-1] != settings["in_channels"]:
        raise CannotLoad(f"its input has {network.input_shape[-1]} channels, not {settings['in_channels']}")
    if any(layer.compute_dtype != "float32" for layer in network.layers):
        raise CannotLoad("its layers do not all compute in float32")
    refuse_other_facts(network, settings)
    if network.input_shape[1:3] == tuple(size):
        return network, call
    other, call_of_other = build(settings, size)
    other.set_weights(network.get_weights())
    normalization_of(other).finalize_state()
    return other, f"{call_of_other} with the weights of {call}"


def load_tensors(network, tensors):
    """Load {path of the variable: array} strictly, and return the loader's name.

    In a file without names of layers, the names are numbered classes.
    """
    variables = variables_of(network, named="stem_conv/kernel" in tensors)
    problems = differences(shapes_of(tensors), shapes_of(variables))
    if problems:
        raise CannotBuild("; ".join(problems))
    for name, variable in variables.items():
        variable.assign(tensors[name])
    return GIVEN


def variables_of(network, named):
    """Return {"stem_conv/kernel": variable, ...}, or {"conv2d/kernel": variable, ...} if not `named`."""
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
    """Set the mean and std by which the network normalises pixels."""
    layer, variance = normalization_of(network), (std / 255) ** 2
    if normalization == "keras-imagenet":
        variance = variance / IMAGENET_STD
    values = [np.reshape(value, layer.weights[0].shape) for value in (mean / 255, variance)]
    layer.set_weights(values + [np.asarray(weight) for weight in layer.get_weights()[2:]])
    layer.finalize_state()


def normalization_of(network):
    """Return the layer that normalises pixels."""
    return next(layer for layer in network.layers if type(layer).__name__ == "Normalization")


def refuse_other_facts(network, settings):
    """Raise CannotBuild if the network's facts differ from the settings."""
    kinds = [(type(layer).__name__, layer) for layer in network.layers]
    activations = {layer.activation.__name__ for kind, layer in kinds if kind == "Activation"}
    twice = len([kind for kind, _ in kinds if kind == "Rescaling"]) == 2
    found = {
        "bn_eps": {layer.epsilon for kind, layer in kinds if kind == "BatchNormalization"},
        "activation": {{"hard_silu": "hswish"}.get(name, name) for name in activations},
        "normalization": {"keras-imagenet" if twice else "keras"},
    }
    wanted = {fact: settings[fact] for fact in found}
    if wanted["normalization"] == "outside":  # the canonical network's; this network always gets pixels
        wanted["normalization"] = "keras"
    wrong = [f"{fact} {sorted(found[fact])}, not {wanted[fact]}" for fact in found if found[fact] != {wanted[fact]}]
    if wrong:
        raise CannotBuild(f"Keras's network has {'; '.join(wrong)}")


def parts_of(network):
    """Return [(layer, the part of the network from the end of the previous layer to its own end)]."""
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
    parts, inputs = [], network.inputs[0]
    for layer, name in ends:
        if name in names:
            outputs = network.get_layer(name).output
            parts.append((layer, keras.Model(inputs, outputs)))
            inputs = outputs
    return parts


def run_parts(parts, pixels, feed):
    """Return {layer: output} for one pass; a layer in `feed` gets that array as its input."""
    import keras

    layers, x = {}, pixels
    for name, part in parts:
        x = part(channels_last(feed[name]) if name in feed else x, training=False)
        layers[name] = channels_first(keras.ops.convert_to_numpy(x))
    return layers


def pixels_of(inputs):
    """Return the images as pixels float32 [N, H, W, C], since the network itself normalises them."""
    images = np.moveaxis(inputs["images"].astype(np.float64), 1, -1)
    return (images * inputs["std"] + inputs["mean"]).astype(np.float32)


RUNNER = Runner(framework="keras", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

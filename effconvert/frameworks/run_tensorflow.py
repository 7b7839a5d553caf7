"""Runs the official EfficientNet on a TensorFlow checkpoint and saves what every layer gives.

The code of the official graph is on no package index. The network is written here once more, from TensorFlow's own
operations and by the official names: tensorflow/tpu, models/official/efficientnet, revision 7dc921f, in evaluation.

Needs numpy and TensorFlow only, on Python 3.9 or later; nothing of effconvert. To run it elsewhere, copy this file:

    python run_tensorflow.py FILE --settings settings.json --inputs inputs.npz --out run.npz

`effconvert run FILE --framework tensorflow --prepare FOLDER` writes settings and inputs.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import re
import sys
import traceback
from dataclasses import dataclass
from importlib import metadata
from itertools import count
from pathlib import Path

import numpy as np

FRAMEWORK = "tensorflow"
PACKAGES = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos")

AVERAGE = "/ExponentialMovingAverage"
EPSILON = 1e-3
STEM, HEAD = 32, 1280

# The builder's own notation: repeats, kernel, stride, expansion, filters in and out; c1 is a fused block. In CondConv's
# networks the last three stages are routed.
MOBILE = (
    "r1_k3_s1_e1_i32_o16 r2_k3_s2_e6_i16_o24 r2_k5_s2_e6_i24_o40 r3_k3_s2_e6_i40_o80 "
    "r3_k5_s1_e6_i80_o112 r4_k5_s2_e6_i112_o192 r1_k3_s1_e6_i192_o320"
)
EDGETPU = (
    "r1_k3_s1_e4_i24_o24_c1_noskip r2_k3_s2_e8_i24_o32_c1 r4_k3_s2_e8_i32_o48_c1 "
    "r5_k5_s2_e8_i48_o96 r4_k5_s1_e8_i96_o144 r2_k5_s2_e8_i144_o192"
)
# Width and depth of every official network; its scope is "efficientnet-" and this name.
SCALES = {
    "b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4), "b4": (1.4, 1.8), "b5": (1.6, 2.2),
    "b6": (1.8, 2.6), "b7": (2.0, 3.1), "b8": (2.2, 3.6), "l2": (4.3, 5.3),
    "condconv-b0-4e": (1.0, 1.0), "condconv-b0-8e": (1.0, 1.0), "condconv-b0-8e-depth": (1.0, 1.1),
    "edgetpu-S": (1.0, 1.0), "edgetpu-M": (1.0, 1.1), "edgetpu-L": (1.2, 1.4),
    "lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2), "lite3": (1.2, 1.4), "lite4": (1.4, 1.8),
}  # fmt: skip


def start():
    """Import the framework, and make it compute in plain float32 on the CPU."""
    for variable, value in (("TF_CPP_MIN_LOG_LEVEL", "2"), ("TF_ENABLE_ONEDNN_OPTS", "0")):
        os.environ.setdefault(variable, value)  # else TensorFlow talks on stderr
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)


def run(file, tensors, settings, inputs):
    """Return what was built, how it was loaded, and a function from feed to {layer: output}."""
    name = official_name(settings)
    expected = variables(name, settings["classes"], settings["head_conv"], settings["in_channels"])
    if tensors is None:
        loader = "tf.train.load_checkpoint"
        values = load_file(file, name, expected, settings["raw"])
    else:
        loader = "given tensors"
        values = load_tensors(tensors, name, expected)
    network = OfficialNetwork(name, values, settings["fused_stride"])
    words = f"efficientnet-{name} of TensorFlow's operations"
    if any(block.fused for block in blocks(name)):
        words += ", stride of fused blocks on {}".format(settings["fused_stride"])
    return words, loader, lambda feed: network(inputs["images"], feed)


def official_name(settings):
    """Return the official name of the network that has the facts."""
    name = settings["name"]
    if name not in SCALES:
        raise CannotBuild(f"no official network is called efficientnet-{name}")
    only = {"bn_eps": EPSILON, "padding": "tf-same", "activation": activation_of(name)}
    problems = [f"{fact} {settings[fact]}" for fact in only if settings[fact] != only[fact]]
    if problems:
        facts = ", ".join("{} {}".format(*item) for item in only.items())
        raise CannotBuild("efficientnet-{} has {}, not {}".format(name, facts, ", ".join(problems)))
    return name


def activation_of(name):
    """Return the name of the activation."""
    return "relu6" if "lite" in name else "relu" if "edgetpu" in name else "silu"


@dataclass(frozen=True)
class Block:
    """One block.

    entering, expanded, leaving: channels. reduced: of squeeze-and-excite, 0 without. experts: of CondConv, 0 without;
    routed: how many CondConv blocks come before.
    """

    index: int
    kernel: int
    stride: int
    expands: bool
    fused: bool
    skip: bool
    entering: int
    expanded: int
    leaving: int
    reduced: int
    experts: int
    routed: int


@dataclass(frozen=True)
class Layer:
    """The variables of one call: their scope, their kind, the side of the kernel, channels in and out, experts."""

    scope: str
    kind: str
    entering: int
    leaving: int
    kernel: int = 1
    experts: int = 0


def round_filters(filters, width):
    """Return `filters` times `width`, to a multiple of eight that is not more than 10 % below."""
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def blocks(name):
    """Return the blocks of the network, for instance of `edgetpu-S`."""
    width, depth = SCALES[name]
    lite, edgetpu, experts = "lite" in name, "edgetpu" in name, re.search(r"condconv-b\d-(\d)e", name)
    stages = (EDGETPU if edgetpu else MOBILE).split()
    entering = STEM if lite else round_filters(STEM, width)
    found, routed = [], count()
    for number, stage in enumerate(stages):
        value = {letter: int(digits) for letter, digits in re.findall(r"([rkseio])(\d+)", stage)}
        condconv = experts is not None and number >= len(stages) - 3
        inputs, leaving = round_filters(value["i"], width), round_filters(value["o"], width)
        for repeat in range(value["r"] if lite and number in (0, len(stages) - 1) else math.ceil(depth * value["r"])):
            found.append(
                Block(
                    index=len(found),
                    kernel=value["k"],
                    stride=1 if repeat else value["s"],
                    expands=value["e"] != 1,
                    fused="_c1" in stage,
                    skip="noskip" not in stage,
                    entering=entering,
                    expanded=entering if value["e"] == 1 else (leaving if repeat else inputs) * value["e"],
                    leaving=leaving,
                    reduced=0 if lite or edgetpu else entering // 4,
                    experts=int(experts[1]) if condconv else 0,
                    routed=next(routed) if condconv else 0,
                )
            )
            entering = leaving
    return found


def block_layers(block):
    """Return {layer: its variables}; calls of one kind are numbered in call order, in each block anew."""
    scope = f"blocks_{block.index}/"
    conv, norm = numbered(scope + "conv2d"), numbered(scope + "tpu_batch_normalization")
    entering, expanded, leaving, experts = block.entering, block.expanded, block.leaving, block.experts
    layers = {}
    if block.expands:
        layers["expand"] = Layer(next(conv), "conv", entering, expanded, block.kernel if block.fused else 1)
        layers["expand_norm"] = Layer(next(norm), "norm", expanded, expanded)
    if not block.fused:
        layers["depthwise"] = Layer(scope + "depthwise_conv2d", "depthwise", expanded, expanded, block.kernel)
        layers["depthwise_norm"] = Layer(next(norm), "norm", expanded, expanded)
    if block.reduced:
        layers["se_reduce"] = Layer(scope + "se/conv2d", "biased", expanded, block.reduced)
        layers["se_expand"] = Layer(scope + "se/conv2d_1", "biased", block.reduced, expanded)
    layers["project"] = Layer(next(conv), "conv", expanded, leaving)
    layers["project_norm"] = Layer(next(norm), "norm", leaving, leaving)
    if experts:
        # Experts stand under a scope of their own and are numbered through the whole graph; each block's first number
        # is drawn by a fused convolution that is never called.
        own, number = "model/" + scope, block.routed
        depthwise = own + "depthwise_cond_conv2d" + (f"_{number}" if number else "")
        layers["routing"] = Layer(scope + "dense", "dense", entering, experts)
        layers["expand"] = Layer(own + "cond_conv2d_%s" % (3 * number + 1), "experts", entering, expanded, 1, experts)
        layers["depthwise"] = Layer(depthwise, "depthwise_experts", expanded, expanded, block.kernel, experts)
        layers["project"] = Layer(own + "cond_conv2d_%s" % (3 * number + 2), "experts", expanded, leaving, 1, experts)
    return layers


def end_layers(name, classes, head_conv=True, channels=3):
    """Return {layer: its variables} of the stem and the head; 0 classes are no classifier."""
    width, last = 1.0 if "lite" in name else SCALES[name][0], blocks(name)[-1].leaving
    stem, head = round_filters(STEM, width), round_filters(HEAD, width)
    layers = {"stem": Layer("stem/conv2d", "conv", channels, stem, 3)}
    layers["stem_norm"] = Layer("stem/tpu_batch_normalization", "norm", stem, stem)
    if head_conv:
        layers["head"] = Layer("head/conv2d", "conv", last, head)
        layers["head_norm"] = Layer("head/tpu_batch_normalization", "norm", head, head)
    if classes:
        layers["classifier"] = Layer("head/dense", "dense", head, classes)
    return layers


def variables_of(layer):
    """Return {variable: shape} of a layer."""
    size, inputs, outputs = layer.kernel, layer.entering, layer.leaving
    shapes = {
        "conv": {"kernel": (size, size, inputs, outputs)},
        "biased": {"kernel": (size, size, inputs, outputs), "bias": (outputs,)},
        "depthwise": {"depthwise_kernel": (size, size, outputs, 1)},
        "dense": {"kernel": (inputs, outputs), "bias": (outputs,)},
        "norm": dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (outputs,)),
        "experts": {"condconv_kernel": (layer.experts, size * size * inputs * outputs)},
        "depthwise_experts": {"depthwise_condconv_kernel": (layer.experts, size * size * outputs)},
    }
    return {f"{layer.scope}/{leaf}": shape for leaf, shape in shapes[layer.kind].items()}


def variables(name, classes, head_conv=True, channels=3):
    """Return {variable: shape} of the network, the names without its scope."""
    groups = [end_layers(name, classes, head_conv, channels)] + [block_layers(block) for block in blocks(name)]
    return {key: shape for group in groups for layer in group.values() for key, shape in variables_of(layer).items()}


def numbered(name):
    """Yield `name`, `name`_1, `name`_2 and so on."""
    yield name
    for number in count(1):
        yield f"{name}_{number}"


def load_file(file, name, expected, raw):
    """Return {variable: value} of a checkpoint: the averages where it has any, unless `raw`."""
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(prefix_of(file))
        shapes = reader.get_variable_to_shape_map()
        root = root_of({stored.replace(AVERAGE, "") for stored in shapes}, name)
        averaged = not raw and any(root + variable + AVERAGE in shapes for variable in expected)
        full = {variable: root + variable + (AVERAGE if averaged else "") for variable in expected}
        found = {variable: tuple(shapes[full[variable]]) for variable in expected if full[variable] in shapes}
        problems = differences(found, expected) + strangers(shapes, root, expected)
        if problems:
            raise CannotLoad("{}: {}".format(file, "; ".join(problems)))
        return {variable: reader.get_tensor(full[variable]).astype(np.float32) for variable in expected}
    except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
        raise CannotLoad(f"tf.train.load_checkpoint: {error}") from error


def load_tensors(tensors, name, expected):
    """Return {variable: value} of {name: array}, with or without the network's scope."""
    root = f"efficientnet-{name}/"
    values = {tensor[len(root) :] if tensor.startswith(root) else tensor: array for tensor, array in tensors.items()}
    problems = differences({variable: array.shape for variable, array in values.items()}, expected)
    problems += [f"{variable}: unexpected" for variable in sorted(set(values) - set(expected))]
    if problems:
        raise CannotBuild("; ".join(problems))
    return {variable: array.astype(np.float32) for variable, array in values.items()}


def prefix_of(file):
    """Return the prefix of the bundle that `file` is, holds or belongs to."""
    path = Path(file)
    if path.is_file() and path.name in ("saved_model.pb", "checkpoint"):
        path = path.parent
    if not path.is_dir():
        return re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", str(path))
    bundles = [index.with_suffix("") for place in (path, path / "variables") for index in place.glob("[!.]*.index")]
    if len(bundles) != 1:
        raise CannotLoad(f"{file}: holds {len(bundles)} checkpoints")
    return str(bundles[0])


def root_of(names, name):
    """Return the scope of the network: the official one, or the only one that has a stem."""
    stem = "stem/conv2d/kernel"
    roots = {found[: -len(stem)] for found in names if found == stem or found.endswith("/" + stem)}
    usual = f"efficientnet-{name}/"
    if usual in roots:
        return usual
    if len(roots) != 1:
        raise CannotLoad(f"{stem} stand under {len(roots)} scopes, not under {usual}")
    return roots.pop()


def differences(found, expected):
    """Return a line for each variable that is missing or of another shape than expected."""
    problems = [f"{name}: missing" for name in expected if name not in found]
    for name in expected:
        if name in found and found[name] != expected[name]:
            problems.append(f"{name}: {list(found[name])}, expected {list(expected[name])}")
    return problems


def strangers(names, root, expected):
    """Return a line for each variable of the network's scope that is not of the network; a slot of an optimizer is."""
    own = re.compile(re.escape(root) + r"((?:stem|head|blocks_\d+|model)/.*)")
    within = sorted({match[1] for match in map(own.fullmatch, names) if match})
    parts = tuple(name + "/" for name in expected)
    return [f"{name}: unexpected" for name in within if name not in expected and not name.startswith(parts)]


class OfficialNetwork:
    """The network with given weights; computes in their dtype.

    values: {variable: array}, the names without the scope. fused_stride: `project` as the official code was until
    2020-12-27, `expand` as it is since.
    """

    def __init__(self, name, values, fused_stride="project"):
        import tensorflow as tf

        self.name, self.fused_stride = name, fused_stride
        self.values = {variable: tf.constant(value) for variable, value in values.items()}
        self.activation = getattr(tf.nn, activation_of(name))

    def __call__(self, images, feed=None):
        """Return {layer: array} for images [N, C, H, W]; a layer in `feed` is given that in place of what arrives.

        Maps are [N, C, H, W] here, [N, H, W, C] inside.
        """
        import tensorflow as tf

        x = tf.constant(channels_last(images))
        outputs = {}
        for layer, step in self.steps():
            if feed and layer in feed:
                x = tf.constant(channels_last(feed[layer]))
            x = step(x)
            outputs[layer] = channels_first(x.numpy())
        return outputs

    def steps(self):
        """Return [(layer, function from what enters it to what leaves it)]."""
        import tensorflow as tf

        layers = end_layers(self.name, "head/dense/kernel" in self.values)
        steps = [("stem", lambda x: self.activated(self.convolved(x, layers["stem"], 2), layers["stem_norm"]))]
        for block in blocks(self.name):
            steps.append((f"blocks.{block.index}", lambda x, block=block: self.block(x, block)))
        if "head/conv2d/kernel" in self.values:
            steps.append(("head", lambda x: self.activated(self.convolved(x, layers["head"]), layers["head_norm"])))
            steps.append(("pooled", lambda x: tf.reduce_mean(x, axis=(1, 2))))
        if "classifier" in layers:
            steps.append(("logits", lambda x: self.dense(x, layers["classifier"])))
        return steps

    def block(self, entering, block):
        """Return what the block gives."""
        import tensorflow as tf

        layers = block_layers(block)
        on_expand = block.fused and self.fused_stride == "expand"
        routing = None
        if block.experts:
            routing = tf.sigmoid(self.dense(tf.reduce_mean(entering, axis=(1, 2)), layers["routing"]))
        x = entering
        if block.expands:
            x = self.convolved(x, layers["expand"], block.stride if on_expand else 1, routing)
            x = self.activated(x, layers["expand_norm"])
        if not block.fused:
            x = self.activated(self.convolved(x, layers["depthwise"], block.stride, routing), layers["depthwise_norm"])
        if block.reduced:
            x = x * self.gates(x, layers)
        x = self.convolved(x, layers["project"], block.stride if block.fused and not on_expand else 1, routing)
        x = self.normalised(x, layers["project_norm"])
        return x + entering if block.skip and block.stride == 1 and block.entering == block.leaving else x

    def gates(self, x, layers):
        """Return the gates of squeeze-and-excite [N, 1, 1, C]."""
        import tensorflow as tf

        reduced = self.biased(tf.reduce_mean(x, axis=(1, 2), keepdims=True), layers["se_reduce"])
        return tf.sigmoid(self.biased(self.activation(reduced), layers["se_expand"]))

    def convolved(self, x, layer, stride=1, routing=None):
        """Return the convolution; `routing` [N, experts] mixes the experts to a kernel for each image."""
        import tensorflow as tf

        kernel = self.variables(layer)[0]
        depthwise = layer.kind.startswith("depthwise")
        convolve = tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d
        strides = [1, stride, stride, 1]
        if routing is None:
            return convolve(x, kernel, strides, "SAME")
        shape = (layer.kernel, layer.kernel, layer.entering, 1 if depthwise else layer.leaving)
        each = zip(tf.split(x, len(x)), tf.split(routing, len(x)))
        return tf.concat([convolve(i, tf.reshape(tf.matmul(r, kernel), shape), strides, "SAME") for i, r in each], 0)

    def biased(self, x, layer):
        """Return the convolution with its bias."""
        return self.convolved(x, layer) + self.variables(layer)[1]

    def activated(self, x, norm):
        """Return what the activation makes of the normalised map."""
        return self.activation(self.normalised(x, norm))

    def normalised(self, x, norm):
        """Return what BatchNorm gives with the moving statistics."""
        import tensorflow as tf

        gamma, beta, mean, variance = self.variables(norm)
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, EPSILON)

    def dense(self, x, layer):
        """Return the dense layer of [N, C]."""
        import tensorflow as tf

        kernel, bias = self.variables(layer)
        return tf.matmul(x, kernel) + bias

    def variables(self, layer):
        """Return the values of a layer's variables."""
        return [self.values[name] for name in variables_of(layer)]


def channels_last(array):
    """Return [N, C, H, W] as [N, H, W, C]; [N, C] stays."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1))


def channels_first(array):
    """Return [N, H, W, C] as [N, C, H, W]; [N, C] stays."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1))


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

"""Runner of the official EfficientNet: it runs a TensorFlow checkpoint and saves the output of every layer.

The code of the official graph is not on a package index, so the network is reimplemented here with TensorFlow's own
operations and the official names.

It needs only numpy and TensorFlow, on Python 3.9 or later, and not effconvert.
"""

import re
from pathlib import Path

import numpy as np

from .base import CannotBuild, CannotLoad, Network, Runner
from .official_network import EPSILON, OfficialNetwork
from .official_variables import AVERAGE, SCALES, activation_of, blocks, variables
from .tensorflow_base import GIVEN, differences, keep_tensorflow_quiet, shapes_of

PACKAGES = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos")


def start():
    """Import the framework, and select plain float32 on the CPU."""
    keep_tensorflow_quiet()
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(False)


def make_network(file, tensors, settings, inputs):
    """Return the official network with the weights."""
    name = official_name(settings)
    expected = variables(name, settings["classes"], settings["head_conv"], settings["in_channels"])
    if tensors is None:
        values, loader = load_file(file, name, expected, settings["raw"]), "tf.train.load_checkpoint"
    else:
        values, loader = load_tensors(tensors, name, expected), GIVEN
    network = OfficialNetwork(name, values, settings["fused_stride"])
    call = f"efficientnet-{name} of TensorFlow's operations"
    if any(block.fused for block in blocks(name)):
        call += f", stride of fused blocks on {settings['fused_stride']}"
    return Network(call, loader, lambda feed: network(inputs["images"], feed))


def official_name(settings):
    """Return the official name of the network with the facts, or raise CannotBuild."""
    name = settings["name"]
    if name not in SCALES:
        raise CannotBuild(f"there is no official network efficientnet-{name}")
    only = {"bn_eps": EPSILON, "padding": "tf-same", "activation": activation_of(name)}
    problems = [f"{fact} {settings[fact]}" for fact in only if settings[fact] != only[fact]]
    if problems:
        facts = ", ".join(f"{fact} {value}" for fact, value in only.items())
        raise CannotBuild(f"efficientnet-{name} has {facts}, not {', '.join(problems)}")
    return name


def load_file(file, name, expected, raw):
    """Return {variable: value} of a checkpoint: the averages if it has any, unless `raw`."""
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
            raise CannotLoad(f"{file}: {'; '.join(problems)}")
        return {variable: reader.get_tensor(full[variable]).astype(np.float32) for variable in expected}
    except (tf.errors.OpError, OSError, RuntimeError, ValueError) as error:
        raise CannotLoad(f"tf.train.load_checkpoint: {error}") from error


def load_tensors(tensors, name, expected):
    """Return {variable: value} from {name: array}, with or without the network's scope."""
    root = f"efficientnet-{name}/"
    values = {tensor[len(root) :] if tensor.startswith(root) else tensor: array for tensor, array in tensors.items()}
    problems = differences(shapes_of(values), expected)
    if problems:
        raise CannotBuild("; ".join(problems))
    return {variable: array.astype(np.float32) for variable, array in values.items()}


def prefix_of(file):
    """Return the prefix of the bundle that `file` is, contains or belongs to."""
    path = Path(file)
    if path.is_file() and path.name in ("saved_model.pb", "checkpoint"):
        path = path.parent
    if not path.is_dir():
        return re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", str(path))
    bundles = [index.with_suffix("") for place in (path, path / "variables") for index in place.glob("[!.]*.index")]
    if len(bundles) != 1:
        raise CannotLoad(f"{file}: contains {len(bundles)} checkpoints, expected 1")
    return str(bundles[0])


def root_of(names, name):
    """Return the scope of the network: the official one, or the only one with a stem."""
    stem = "stem/conv2d/kernel"
    roots = {found[: -len(stem)] for found in names if found == stem or found.endswith("/" + stem)}
    usual = f"efficientnet-{name}/"
    if usual in roots:
        return usual
    if len(roots) != 1:
        raise CannotLoad(f"{stem} is in {len(roots)} scopes, and not in {usual}")
    return roots.pop()


def strangers(names, root, expected):
    """Return a line for each unknown variable in the network's scope; optimizer slots are known."""
    own = re.compile(re.escape(root) + r"((?:stem|head|blocks_\d+|model)/.*)")
    within = sorted({match[1] for match in map(own.fullmatch, names) if match})
    parts = tuple(name + "/" for name in expected)
    return [f"{name}: unexpected" for name in within if name not in expected and not name.startswith(parts)]


RUNNER = Runner(framework="tensorflow", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

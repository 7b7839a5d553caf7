"""Runner of an ONNX file: onnxruntime runs it, and the output of every layer that its graph shows is saved.

Logits are those of the file as it is. Layers are those of a copy with more outputs, which is not optimised: more
outputs change what onnxruntime fuses, and so the last bits. Where the file ends with a softmax, its logits are a layer.

It needs only numpy and onnxruntime, on Python 3.9 or later, and not effconvert.
"""

from pathlib import Path

import numpy as np

from .base import CannotBuild, CannotLoad, Network, Runner, call_text
from .deployed_base import as_wanted, batches, quantised, real, with_answers
from .onnx_copy import with_inputs, with_outputs

PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
_LARGEST = 2**31 - 1  # bytes of a protocol buffer in memory


def start():
    """Import the framework."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)


def make_network(file, tensors, settings, inputs):
    """Return the network of the file; settings["deployed"] says what it wants and which values its layers are."""
    if tensors is not None:
        raise CannotBuild("an ONNX file holds its network; tensors cannot be loaded into it")
    wanted = settings["deployed"]
    images = quantised(as_wanted(inputs, wanted), wanted["input"])
    plain = open_session(file)
    return Network(
        call_text("onnxruntime.InferenceSession", file),
        "onnxruntime",
        lambda feed: run(file, plain, wanted, images, feed),
    )


def open_session(model, plain=False, folder=None):
    """Return a session of a file or of bytes on the CPU. plain: without optimisation. folder: of external constants."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class for each of its codes
        raise CannotLoad(f"onnxruntime: {error}") from error


def run(file, plain, wanted, images, feed):
    """Return {layer: output}; of the file as it is, or each layer with its input from `feed`."""
    layers = dict(wanted["layers"])
    if not feed:
        answers = outputs_of(plain, wanted, images, {"logits": wanted["answer"]})
        if not layers:
            return answers
        found = outputs_of(copy_of(file, wanted, layers.values()), wanted, images, layers)
        return with_answers(file, found, answers["logits"], wanted)
    return isolated(file, wanted, images, layers, feed)


def isolated(file, wanted, images, layers, feed):
    """Return {layer: output} of each layer with its input from `feed`; of none where the layers are not known."""
    names = list(layers)
    fed = {layers[before]: "fed:" + after for before, after in zip(names, names[1:]) if after in feed}
    if not fed:
        return {}
    first = outputs_of(copy_of(file, wanted, fed), wanted, images[:1], {value: value for value in fed}, raw=True)
    dtypes = {value: array.dtype for value, array in first.items()}
    # The other network may lack a layer, such as the pooling: then what comes before is of another size.
    fed = {value: name for value, name in fed.items() if feed[name[4:]][0].size == first[value][0].size}
    shown = {name: layers[name] for name in names if name == names[0] or "fed:" + name in fed.values()}
    arrays = {
        name: np.asarray(feed[name[4:]], dtypes[value]).reshape(-1, *first[value].shape[1:])
        for value, name in fed.items()
    }
    return outputs_of(copy_of(file, wanted, layers.values(), fed, dtypes), wanted, images, shown, arrays)


def copy_of(file, wanted, names, fed=None, dtypes=None):
    """Return a session of a copy of the file with further outputs, and with inputs inside: {value: input}."""
    path = Path(file)
    if path.stat().st_size > _LARGEST - (1 << 20):
        raise CannotBuild(f"{file}: is too large for a copy in memory, so its layers cannot be shown")
    model = path.read_bytes()
    added = [name for name in dict.fromkeys(names) if name not in wanted["outputs"]]
    model = with_inputs(model, fed, dtypes) if fed else model
    return open_session(with_outputs(model, added), True, path.resolve().parent)


def outputs_of(session, wanted, images, layers, fed=None, raw=False):
    """Return {layer: output} of all images. layers: {layer: value}. fed: {input: array} beside the images."""
    image_name = next(one.name for one in session.get_inputs() if one.name not in (fed or {}))
    names = list(dict.fromkeys(layers.values()))
    parts = {name: [] for name in names}
    done = 0
    for batch, count in batches(images, wanted["batch"]):
        given = {image_name: batch}
        for name, array in (fed or {}).items():
            part = array[done : done + count]
            given[name] = np.concatenate([part, *[part[-1:]] * (len(batch) - count)])
        for name, array in zip(names, session.run(names, given)):
            parts[name].append(array[:count])
        done += count
    arrays = {name: np.concatenate(found) for name, found in parts.items()}
    if raw:
        return arrays
    return {layer: real(arrays[name], wanted["output"] if layer == "logits" else {}) for layer, name in layers.items()}


RUNNER = Runner(framework="onnx", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

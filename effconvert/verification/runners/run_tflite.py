"""Runner of a TensorFlow Lite file: LiteRT runs it, and the output of every layer that its graph shows is saved.

Answers are those of the file as users run it, with the XNNPACK delegate. Layers are those of an interpreter that keeps
every tensor and has only the built-in kernels.

It needs only numpy and ai-edge-litert, on Python 3.9 or later, and not effconvert.
"""

import numpy as np

from .base import CannotBuild, CannotLoad, Network, Runner, call_text
from .deployed_base import as_wanted, batches, channels_first, quantised, real, with_answers

PACKAGES = ("ai-edge-litert",)


def start():
    """Import the framework."""
    import ai_edge_litert.interpreter  # noqa: F401


def make_network(file, tensors, settings, inputs):
    """Return the network of the file; settings["deployed"] says what it wants and which tensors its layers are."""
    if tensors is not None:
        raise CannotBuild("a TensorFlow Lite file holds its network; tensors cannot be loaded into it")
    wanted = settings["deployed"]
    images = quantised(as_wanted(inputs, wanted), wanted["input"])
    open_interpreter(file, images.shape[1:], wanted)
    return Network(
        call_text("ai_edge_litert.interpreter.Interpreter", file),
        "LiteRT",
        lambda feed: {} if feed else run(file, wanted, images),
    )


def open_interpreter(file, shape, wanted, plain=False):
    """Return an interpreter for images of a shape. plain: with the built-in kernels, keeping every tensor."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kinds = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    try:
        found = Interpreter(
            file, num_threads=1, experimental_preserve_all_tensors=plain, experimental_op_resolver_type=kinds
        )
        index = found.get_input_details()[0]["index"]
        found.resize_tensor_input(index, [wanted["batch"] or 1, *shape])
        found.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise CannotLoad(f"LiteRT: {error}") from error
    return found


def run(file, wanted, images):
    """Return {layer: output}."""
    plain = open_interpreter(file, images.shape[1:], wanted)
    answers = outputs_of(plain, wanted, images, {"logits": int(wanted["answer"].split()[-1])})
    indices = {layer: int(value.split()[-1]) for layer, value in wanted["layers"]}
    if not indices:
        return answers
    found = outputs_of(open_interpreter(file, images.shape[1:], wanted, plain=True), wanted, images, indices)
    return with_answers(file, found, answers["logits"], wanted)


def outputs_of(interpreter, wanted, images, indices):
    """Return {layer: output [N, C, H, W] or [N, C]} of all images, as real numbers."""
    entry = interpreter.get_input_details()[0]["index"]
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    parts = {layer: [] for layer in indices}
    for batch, count in batches(images, wanted["batch"] or 1):
        interpreter.set_tensor(entry, batch)
        interpreter.invoke()
        for layer, index in indices.items():
            parts[layer].append(interpreter.get_tensor(index)[:count])
    return {
        layer: channels_first(real(np.concatenate(found), stored_as(details[indices[layer]])))
        for layer, found in parts.items()
    }


def stored_as(detail):
    """Return how the numbers of a tensor are stored: scale and zero point; {} for one that is not quantised."""
    scale, zero_point = detail["quantization"]
    return {"scale": scale, "zero_point": zero_point} if scale else {}


RUNNER = Runner(framework="tflite", packages=PACKAGES, description=__doc__, start=start, make_network=make_network)

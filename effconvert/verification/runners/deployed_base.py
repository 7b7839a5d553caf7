"""Base of the runners of deployed files: what a file wants of its images, and the layers that were found in its graph.

`settings["deployed"]` has both, as effconvert learnt them from the file. layout: of the axes. unit: the number that a
pixel of 255 becomes, if the network normalises pixels itself; None if it takes normalised images. bgr: blue first.
swapped: width before height. quantised: whether it computes with whole numbers; its answers then are a layer of their
own, behind its logits. input, output: their dtype and quantization. batch: None if it is free. outputs: of the file.
answer: the one with the answers. softmax: whether these are probabilities. layers: [[layer, its value in the file], …]
in order.
"""

import numpy as np

from .base import CannotBuild

_OUTSIDE = 0.02  # of the numbers: bicubic resizing leaves a few of a photograph's outside, noise 3 % and more
_SOFTMAX = 1e-4  # the difference of two probabilities that rounding can explain


def as_wanted(inputs, wanted):
    """Return the images [N, C, H, W] as the file takes them, before they are quantised."""
    images = inputs["images"]
    if wanted["unit"] is not None:
        mean, std = (np.asarray(inputs[name], np.float64).reshape(1, -1, 1, 1) for name in ("mean", "std"))
        images = (images * std + mean) * (wanted["unit"] / 255)
    if wanted["bgr"]:
        images = images[:, ::-1]
    if wanted["swapped"]:
        images = np.swapaxes(images, 2, 3)
    images = np.asarray(images, np.float32)
    return np.ascontiguousarray(np.moveaxis(images, 1, -1) if wanted["layout"] == "NHWC" else images)


def quantised(images, stored):
    """Return the images in the dtype of the input. Raises CannotBuild for numbers that it cannot hold."""
    dtype = np.dtype(stored["dtype"])
    if dtype.kind == "f":
        return images.astype(dtype)
    if stored.get("scale"):
        images = images / stored["scale"] + stored["zero_point"]
    whole, limits = np.rint(images), np.iinfo(dtype)
    outside = float(np.mean((whole < limits.min - 1) | (whole > limits.max + 1)))  # the ends may be half a step off
    if outside > _OUTSIDE:
        raise CannotBuild(
            f"{100 * outside:.0f} % of the numbers of the images lie outside of what the input of this file can hold; "
            "give photographs with --images FOLDER"
        )
    return np.clip(whole, limits.min, limits.max).astype(dtype)


def real(array, stored):
    """Return the numbers that a quantised array means, as float32."""
    if array.dtype.kind == "f" or not stored.get("scale"):
        return np.asarray(array, np.float32)
    return ((array.astype(np.float64) - stored["zero_point"]) * stored["scale"]).astype(np.float32)


def batches(images, size):
    """Yield (images, how many count) of at most `size`; a fixed batch is filled with copies of its last image."""
    for start in range(0, len(images), size or len(images)):
        part = images[start : start + (size or len(images))]
        missing = (size or len(part)) - len(part)
        yield np.concatenate([part, *[part[-1:]] * missing]) if missing else part, len(part)


def with_answers(file, layers, answers, wanted):
    """Return `layers` with the answers of the file as it is: its logits, or the softmax of those that are a layer.

    Raises CannotBuild if the answers of a network of floats are not the softmax of its logits.
    """
    if not wanted["softmax"]:
        return {**layers, "logits": answers}
    if wanted["quantised"]:
        return {**layers, "answers": answers}
    logits = layers["logits"].astype(np.float64)
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    difference = float(np.abs(raised / raised.sum(-1, keepdims=True) - answers).max())
    if not difference <= _SOFTMAX:
        raise CannotBuild(f"{file}: its answers are not the softmax of its logits: they differ by {difference:.1e}")
    return layers


def channels_first(array):
    """Return [N, H, W, C] as [N, C, H, W]; another number of axes stays."""
    return np.ascontiguousarray(np.moveaxis(array, -1, 1)) if array.ndim == 4 else array

"""An ONNX model of the network computes what the canonical network computes."""

import dataclasses
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from effconvert.architecture.canonical import tensor_shapes
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import LayoutMismatch
from effconvert.graphs.onnx_graph import build_model
from effconvert.model import EfficientNet, create_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from helpers.deep import deep_but

TOLERANCE = 2e-5  # of the largest logit
LIGHT = ("b0", "lite0", "edgetpu-s", "cc-b0-4e")


@lru_cache(4)
def network(variant: str, calibrated_at: int = 64, **facts: Any) -> EfficientNet:
    """Return a network for images that are not much larger than `calibrated_at`: at others, float32 ends in noise."""
    images = synthetic_images(8, calibrated_at, calibrated_at, channels=facts.get("in_channels", 3))
    return calibrate(random_weights(create_model(variant, **facts)), images)


def tensors(of: EfficientNet) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in of.state_dict().items()}


def model(of: EfficientNet, image_size: int | None, **options: Any) -> onnx.ModelProto:
    return build_model(of.variant, of.facts, tensors(of), image_size=image_size, **options)


def run(model: onnx.ModelProto, images: np.ndarray, *outputs: str) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(list(outputs) or None, {"images": images})[0]


@torch.no_grad()
def difference(of: EfficientNet, built: onnx.ModelProto, images: torch.Tensor) -> float:
    expected = of(images).numpy()
    return float(np.abs(run(built, images.numpy()) - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("variant", deep_but(VARIANTS, lambda variant: variant in LIGHT))
def test_a_model_of_a_fixed_size_computes_the_network(variant: str, fold: bool) -> None:
    native = 96 if variant in LIGHT else 224 if variant == "l2" else VARIANTS[variant].resolution
    of = network(variant, native * 2 // 3 if variant in LIGHT else native // 2)
    for size in (native, native - 21):
        built = model(of, size, fold=fold, batch=1 if VARIANTS[variant].experts else None)
        onnx.checker.check_model(built, full_check=True)
        assert difference(of, built, synthetic_images(1, size, size, seed=1)) < TOLERANCE


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("variant", deep_but(VARIANTS, lambda variant: variant in LIGHT))
def test_a_model_of_any_size_computes_the_network(variant: str, fold: bool) -> None:
    of = network(variant)
    built = model(of, None, fold=fold)
    onnx.checker.check_model(built, full_check=True)
    for height, width in ((64, 64), (75, 98), (33, 64)):
        assert difference(of, built, synthetic_images(2, height, width, seed=1)) < TOLERANCE


FACTS = [
    {"padding": "symmetric", "bn_eps": 1e-5},
    {"activation": "hswish"},
    {"activation": "relu"},
    {"classes": 0},
    {"classes": 0, "head_conv": False},
    {"classes": 7, "in_channels": 5},
]


@pytest.mark.parametrize("size", [64, 75, None])
@pytest.mark.parametrize("facts", FACTS, ids=str)
def test_every_fact_is_in_the_model(facts: dict[str, Any], size: int | None) -> None:
    of = network("b0", **facts)
    images = synthetic_images(2, size or 75, size or 98, seed=1, channels=of.facts.in_channels)
    assert difference(of, model(of, size), images) < TOLERANCE


@pytest.mark.parametrize("fused_stride", ["project", "expand"])
@pytest.mark.parametrize("padding", ["tf-same", "symmetric"])
@pytest.mark.parametrize("size", [64, 75, None])
def test_strides_of_fused_blocks_are_where_the_facts_say(fused_stride: str, padding: str, size: int | None) -> None:
    of = network("edgetpu-s", fused_stride=fused_stride, padding=padding)
    assert difference(of, model(of, size), synthetic_images(2, size or 75, size or 98, seed=1)) < TOLERANCE


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize(("size", "batch"), [(75, None), (75, 1), (75, 3), (None, None), (None, 3)])
def test_condconv_gives_each_image_its_own_kernels(size: int | None, batch: int | None, fold: bool) -> None:
    of = network("cc-b0-4e")
    images = synthetic_images(batch or 2, 75, 75 if size else 98, seed=1)
    assert difference(of, model(of, size, batch=batch, fold=fold), images) < TOLERANCE


@torch.no_grad()
def test_every_layer_has_the_name_that_effconvert_gives_it() -> None:
    of, images = network("b0"), synthetic_images(2, 64, 64, seed=1)
    built = model(of, 64)
    outputs = {name for node in built.graph.node for name in node.output}
    layers = {"stem", *(f"blocks.{index}" for index in range(16)), "head", "pooled", "logits"}
    assert layers <= outputs
    built.graph.output.add(name="blocks.15")
    expected = torch.nn.Sequential(of.stem, *of.blocks)(images).numpy()
    assert np.abs(run(built, images.numpy(), "blocks.15") - expected).max() < TOLERANCE * np.abs(expected).max()


@torch.no_grad()
def test_normalisation_stands_in_front_and_softmax_behind() -> None:
    of = network("b0")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64)).astype(np.float32)
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    built = model(of, 64, normalisation=(mean, std), softmax=True)
    onnx.checker.check_model(built, full_check=True)
    assert [output.name for output in built.graph.output] == ["probabilities"]
    centre, spread = (np.array(numbers, np.float32).reshape(3, 1, 1) for numbers in (mean, std))
    normalised = (pixels - centre) / spread
    expected = of(torch.from_numpy(normalised)).softmax(1).numpy()
    assert np.abs(run(built, pixels) - expected).max() < TOLERANCE * expected.max()


@pytest.mark.parametrize("variant", ["b0", "cc-b0-4e", "lite0"])
def test_an_unfolded_model_holds_the_weights_and_nothing_else(variant: str) -> None:
    of = network(variant)
    held = {one.name: onnx.numpy_helper.to_array(one) for one in model(of, None).graph.initializer}
    given = tensors(of)
    assert list(held) == [name for name in held if name in given]
    assert held.keys() == given.keys()
    assert all(held[name].tobytes() == given[name].tobytes() for name in given)


def test_no_folded_value_has_the_name_of_a_weight() -> None:
    of = network("b0")
    held = {one.name: onnx.numpy_helper.to_array(one) for one in model(of, 64, fold=True).graph.initializer}
    given = tensors(of)
    assert all(np.array_equal(held[name], given[name]) for name in held.keys() & given.keys())
    assert {"stem.folded.weight", "stem.folded.bias"} <= held.keys()


@pytest.mark.parametrize("size", [64, None])
def test_the_same_input_gives_the_same_bytes(size: int | None) -> None:
    of = network("lite0")
    words = {"variant": "lite0", "b": "1", "a": "2"}
    one, other = (model(of, size, metadata=words).SerializeToString(deterministic=True) for _ in range(2))
    assert one == other


def test_old_runtimes_can_read_it() -> None:
    built = model(network("b0"), 64)
    assert built.ir_version <= 8
    assert [(one.domain, one.version) for one in built.opset_import] == [("", 17)]


def test_images_of_another_size_are_refused_by_a_model_of_a_fixed_size() -> None:
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        run(model(network("b0"), 64), np.zeros((1, 3, 65, 64), np.float32))


def test_what_cannot_be_written_is_refused() -> None:
    of = network("b0")
    given, facts = tensors(of), of.facts
    wrong = {**given, "stem.conv.weight": given["stem.conv.weight"][:, :2], "extra": given["head.fc.bias"]}
    del wrong["head.fc.bias"]
    with pytest.raises(LayoutMismatch) as failure:
        build_model(of.variant, facts, wrong, image_size=64)
    for words in ("head.fc.bias: is missing", "extra: is not a tensor", "is [32, 2, 3, 3], must be [32, 3, 3, 3]"):
        assert words in str(failure.value)
    with pytest.raises(LayoutMismatch, match="3 channels"):
        build_model(of.variant, facts, given, image_size=64, normalisation=((0.0,), (1.0,)))
    headless = dataclasses.replace(facts, classes=0)
    body = {name: given[name] for name in tensor_shapes(of.variant, headless)}
    with pytest.raises(LayoutMismatch, match="a softmax needs a classifier"):
        build_model(of.variant, headless, body, image_size=64, softmax=True)

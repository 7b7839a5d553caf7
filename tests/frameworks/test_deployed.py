"""Files that real exporters write of a network are that network, layer by layer; each fault of an export is named."""

from collections.abc import Callable
from pathlib import Path

from helpers.deep import deep_but
from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras.applications import EfficientNetB0
from torch import Tensor, nn

import effconvert
from effconvert.verification.deployed_procedure import DeployedVerification
from helpers.frameworks.figures import record
from helpers.frameworks.torch_libraries import built, calibrated, write
from helpers.frameworks.validating import images, write_flat
from helpers.pictures import KINDS

SIZE = 96
TOLERANCE = 2e-5
MEAN, STD = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployed")


@pytest.fixture(scope="module")
def weights(folder: Path) -> Path:
    """A calibrated B0 in timm's layout."""
    write(calibrated("b0", (SIZE, SIZE)), folder / "b0.pth", "timm")
    return folder / "b0.pth"


@pytest.fixture(scope="module")
def network(folder: Path) -> nn.Module:
    """The same network as timm builds it."""
    return built(write(calibrated("b0", (SIZE, SIZE)), folder / "again.pth", "timm"))


@pytest.fixture(scope="module")
def photographs(folder: Path) -> Path:
    """A folder of images."""
    found = images(12, KINDS)
    return write_flat(folder / "photographs", found, [0] * len(found))


class Wrapped(nn.Module):
    """A network with something in front of it and behind it."""

    def __init__(self, network: nn.Module, before: Callable[[Tensor], Tensor], softmax: bool = False) -> None:
        super().__init__()
        self.network, self.before, self.softmax = network, before, softmax

    def forward(self, x: Tensor) -> Tensor:
        logits = self.network(self.before(x))
        return torch.softmax(logits, -1) if self.softmax else logits


def exported(network: nn.Module, path: Path, **options: object) -> Path:
    """Write the network as torch's own exporter does."""
    torch.onnx.export(network.eval(), (torch.rand(1, 3, SIZE, SIZE),), str(path), dynamo=False, **options)
    return path


def normalised(x: Tensor) -> Tensor:
    """Pixels from 0 to 255, normalised with ImageNet's mean and std."""
    return (x / 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def verified(path: Path, weights: Path, **options: object) -> DeployedVerification:
    """Verify at the size of the file."""
    return effconvert.verify_deployed(path, weights, facts={"bn_eps": 1e-3, "padding": "tf-same"}, **options)


def assert_same(case: str, found: DeployedVerification) -> None:
    """Assert that every layer was found and is within the tolerance, and that the images matter."""
    comparison = found.verdict.pairs[0].comparison
    assert found.same, found.line
    assert comparison.only == {}
    assert {row.layer for row in comparison.rows} >= {"stem", *(f"blocks.{n}" for n in range(16)), "head", "logits"}
    worst = max(row.relative for row in comparison.rows)
    assert record(case, "worst layer", worst, f"<= {TOLERANCE:.0e}") <= TOLERANCE
    assert found.verdict.sensitivity > 0.1


def test_torchs_export_of_timms_network_is_the_network(folder: Path, network: nn.Module, weights: Path) -> None:
    found = verified(exported(network, folder / "plain.onnx"), weights)
    assert_same("torch.onnx of timm", found)
    assert found.file.variants == ("b0",)
    assert {row.mode for row in found.verdict.pairs[0].comparison.rows} == {"accumulated", "fed"}


def test_normalisation_and_softmax_inside_are_taken_into_account(
    folder: Path, network: nn.Module, weights: Path
) -> None:
    found = verified(exported(Wrapped(network, normalised, softmax=True), folder / "inside.onnx"), weights)
    assert_same("torch.onnx with pixels and softmax", found)
    assert (found.way.range, found.file.needs.ends) == ("0-255", "softmax")


@pytest.mark.parametrize(
    ("before", "cause", "fix"),
    [
        (lambda x: x.flip(1), "the file takes blue first", "input_bgr=True"),
        (lambda x: x.transpose(2, 3), "height and width are exchanged", "height before width"),
        (lambda x: (x - 127.5) / 127.5, "another normalisation inside", "mean 127.5"),
        (lambda x: normalised(255 * normalised(x)), "another normalisation inside", "export it again"),
    ],
    ids=["bgr", "swapped", "other numbers", "twice"],
)
def test_a_wrong_input_is_named(
    before: Callable[[Tensor], Tensor], cause: str, fix: str, folder: Path, network: nn.Module, weights: Path
) -> None:
    found = verified(exported(Wrapped(network, before), folder / "wrong.onnx"), weights, explain=True)
    assert not found.same
    best = next(trial for trial in found.trials if trial.vanishes)
    assert best.words == cause
    assert fix in best.change


@pytest.mark.parametrize(
    ("fact", "value"), deep_but([("bn_eps", 1e-5), ("padding", "symmetric")], lambda case: case[0] == "bn_eps")
)
def test_a_network_of_another_fact_is_named(fact: str, value: object, folder: Path, weights: Path) -> None:
    with torch.no_grad():
        other = effconvert.load_model(weights, facts={"bn_eps": 1e-3, "padding": "tf-same", fact: value})
    found = verified(exported(other, folder / f"{fact}.onnx"), weights, explain=True)
    assert not found.same
    best = next(trial for trial in found.trials if trial.vanishes)
    assert f"the file has {fact} {value}" in best.change


def test_one_kernel_that_differs_is_found_in_its_block(folder: Path, network: nn.Module, weights: Path) -> None:
    kernel = network.blocks[3][1].conv_pw.weight
    with torch.no_grad():
        kept = kernel.clone()
        kernel[:8] *= 1.01
    try:
        found = verified(exported(network, folder / "kernel.onnx"), weights)
    finally:
        with torch.no_grad():
            kernel.copy_(kept)
    assert found.verdict.first_layer == "blocks.6"


def test_a_network_of_another_variant_is_refused_by_its_convolutions(folder: Path, weights: Path) -> None:
    other = exported(calibrated("lite0", (SIZE, SIZE)), folder / "lite0.onnx")
    with pytest.raises(effconvert.errors.LayoutMismatch, match="its convolutions are those of lite0, not of b0"):
        verified(other, weights)


@pytest.fixture(scope="module")
def keras_network(folder: Path, weights: Path) -> object:
    """The same weights in Keras's own network, which normalises pixels itself."""
    facts = {"bn_eps": 1e-3, "padding": "tf-same"}
    effconvert.convert(weights, folder / "b0.weights.h5", to="keras", facts=facts)
    network = EfficientNetB0(weights=None, input_shape=(SIZE, SIZE, 3))
    network.load_weights(folder / "b0.weights.h5")
    return network


def lite(network: object, path: Path, **options: object) -> Path:
    """Write Keras's network as TensorFlow's converter does."""
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    for name, value in options.items():
        setattr(converter, name, value)
    path.write_bytes(converter.convert())
    return path


def test_tensorflow_lite_of_keras_is_the_network(folder: Path, keras_network: object, weights: Path) -> None:
    found = verified(lite(keras_network, folder / "f32.tflite"), weights)
    assert_same("TFLite of Keras", found)
    assert (found.file.needs.layout, found.way.range) == ("NHWC", "0-255")


@pytest.mark.deep
def test_half_precision_is_the_network_but_for_its_rounding(folder: Path, keras_network: object, weights: Path) -> None:
    halves = tf.lite.TargetSpec(supported_types=[tf.float16])
    options = {"optimizations": [tf.lite.Optimize.DEFAULT], "target_spec": halves}
    found = verified(lite(keras_network, folder / "f16.tflite", **options), weights)
    assert found.same
    assert found.verdict.rounded == "float16"


@pytest.mark.deep
def test_a_quantised_file_is_judged_by_its_answers(
    folder: Path, keras_network: object, weights: Path, photographs: Path
) -> None:
    path = lite(keras_network, folder / "dynamic.tflite", optimizations=[tf.lite.Optimize.DEFAULT])
    found = verified(path, weights, images=photographs)
    assert found.answers is not None
    assert found.answers.images == 8
    assert found.answers.correlation > 0.99
    assert found.same == (found.answers.agree == 8)
    assert set(found.answers.layers) >= {"stem", "blocks.15", "logits"}


@pytest.mark.deep
def test_a_file_that_takes_bytes_is_not_given_synthetic_images(
    folder: Path, keras_network: object, weights: Path, photographs: Path
) -> None:
    chance = np.random.default_rng(0)
    calibration = [chance.uniform(0, 255, (1, SIZE, SIZE, 3)).astype(np.float32) for _ in range(4)]
    options = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": lambda: ([image] for image in calibration),
        "inference_input_type": tf.uint8,
        "inference_output_type": tf.uint8,
    }
    path = lite(keras_network, folder / "uint8.tflite", **options)
    with pytest.raises(
        effconvert.errors.LayoutMismatch, match="its input is uint8, which cannot hold synthetic images"
    ):
        verified(path, weights)
    assert verified(path, weights, images=photographs).answers is not None

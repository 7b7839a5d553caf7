"""A network converted from a checkpoint that TensorFlow wrote computes what TensorFlow computes from it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

import effconvert
from effconvert.model.calibration import sensitivity, synthetic_images
from effconvert.model.capture import capture
from effconvert.verification.runners.official_variables import blocks
from helpers.deep import deep_but
from helpers.frameworks.calibrated_checkpoint import calibrated_state, write_checkpoint
from helpers.frameworks.figures import distance, record
from helpers.frameworks.tensorflow_files import succeed
from helpers.frameworks.tensorflow_network import official_network, own_name

TOLERANCE = 1e-5
# The largest of a million values tells of the rounding of single ones: TensorFlow's own float32 is up to 1.6e-5 away
# from its float64 (head of lite3, where ReLU6 caps the reference at 6), whatever the seed and the size. What float32
# cannot tell, the comparison in double precision does: it leaves 2e-14.
MAP_TOLERANCE = 2e-5
IN_DOUBLE = 1e-11


@dataclass(frozen=True)
class Case:
    """A variant, its official name, the images' height and width, and the facts that it is converted with."""

    variant: str
    model: str
    size: tuple[int, int]
    facts: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        facts = "".join(f", {name}={value}" for name, value in self.facts.items())
        return f"{self.variant} at {self.size[0]}x{self.size[1]}{facts}"


CASES = (
    Case("b0", "efficientnet-b0", (224, 224)),
    Case("b3", "efficientnet-b3", (171, 203)),
    Case("lite3", "efficientnet-lite3", (280, 280)),
    Case("cc-b0-4e", "efficientnet-condconv-b0-4e", (224, 224)),
    Case("cc-b1-8e", "efficientnet-condconv-b0-8e-depth", (129, 160)),
    Case("edgetpu-s", "efficientnet-edgetpu-S", (224, 224)),
    Case("edgetpu-s", "efficientnet-edgetpu-S", (224, 224), {"fused_stride": "expand"}),
    Case("edgetpu-m", "efficientnet-edgetpu-M", (171, 203)),
)


@dataclass(frozen=True)
class Files:
    """A case on disk: the checkpoint, and where its conversions go."""

    case: Case
    folder: Path

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    @cached_property
    def images(self) -> torch.Tensor:
        return synthetic_images(2, *self.case.size, seed=7)

    @cached_property
    def tensorflow(self) -> dict[str, np.ndarray]:
        return self.run_tensorflow()

    def run_tensorflow(self, dtype: type = np.float32, **options) -> dict[str, np.ndarray]:
        """Return the layers of the independent network; `options` replace those of the case."""
        facts = {**self.case.facts, **options}
        network = official_network(self.checkpoint / "model.ckpt", self.case.model, dtype=dtype, **facts)
        return network(self.images.numpy().astype(dtype))

    def convert(self, suffix: str = ".safetensors", **options) -> Path:
        output = self.folder / f"converted{suffix}"
        effconvert.convert(self.checkpoint, output, force=True, **{"facts": self.case.facts, **options})
        return output

    @cached_property
    def converted(self) -> Path:
        return self.convert()


@pytest.fixture(scope="module", params=deep_but(CASES, lambda case: case.size == (224, 224)), ids=str)
def files(request) -> Iterator[Files]:
    yield from prepare(request.param)


@pytest.fixture(scope="module")
def edgetpu() -> Iterator[Files]:
    yield from prepare(Case("edgetpu-s", "efficientnet-edgetpu-S", (64, 96)))


@pytest.fixture(scope="module")
def b0() -> Iterator[Files]:
    yield from prepare(Case("b0", "efficientnet-b0", (64, 96)))


def prepare(case: Case) -> Iterator[Files]:
    """Write a calibrated checkpoint, its averages and raw weights different, that is gone when its tests are."""
    with TemporaryDirectory(prefix="effconvert-test-") as folder:
        files = Files(case, Path(folder))
        averages = calibrated_state(case.variant, case.size, seed=0, **case.facts)
        raw = calibrated_state(case.variant, (64, 96), seed=1, **case.facts)
        write_checkpoint(files.checkpoint, case.model, averages, raw)
        yield files


def logits(path: Path, images: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return effconvert.load_model(path)(images).numpy()


def test_the_logits_depend_on_the_image(files):
    value = sensitivity(torch.from_numpy(files.tensorflow["logits"]))
    assert record(str(files.case), "sensitivity", value, "> 0.1") > 0.1


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_the_converted_network_gives_tensorflows_logits(files, suffix):
    error = distance(logits(files.convert(suffix), files.images), files.tensorflow["logits"])
    assert record(str(files.case), f"logits, {suffix}", error, f"<= {TOLERANCE:.0e}") <= TOLERANCE


def test_every_endpoint_of_the_converted_network_is_tensorflows(files):
    found, expected = capture(effconvert.load_model(files.converted), files.images), files.tensorflow
    assert list(found) == list(expected)
    assert len(found) == len(blocks(own_name(files.case.model))) + 4
    errors = {name: distance(found[name], expected[name]) for name in expected}
    allowed = {name: TOLERANCE if value.ndim == 2 else MAP_TOLERANCE for name, value in expected.items()}
    worst = max(errors, key=errors.get)
    for name in ("pooled", worst):
        record(str(files.case), name, errors[name], f"<= {allowed[name]:.0e}")
    assert {name: error for name, error in errors.items() if not error <= allowed[name]} == {}


def test_in_double_precision_every_endpoint_is_tensorflows_to_a_hundred_billionth(files):
    expected = files.run_tensorflow(dtype=np.float64)
    found = capture(effconvert.load_model(files.converted, torch.float64), files.images.double())
    errors = {name: distance(found[name], value) for name, value in expected.items()}
    rounding = max(distance(files.tensorflow[name], value) for name, value in expected.items())
    record(str(files.case), "TensorFlow's float32 against its float64", rounding, "for comparison")
    record(str(files.case), "worst endpoint in float64", max(errors.values()), f"<= {IN_DOUBLE:.0e}")
    assert {name: error for name, error in errors.items() if not error <= IN_DOUBLE} == {}


def test_raw_gives_the_logits_of_the_raw_weights(b0):
    output = b0.folder / "raw.safetensors"
    succeed("tf2pt", "--checkpoint", b0.checkpoint, "--out", output, "--raw")
    expected = b0.run_tensorflow(average=False)["logits"]
    assert record("b0 --raw", "logits", distance(logits(output, b0.images), expected), "<= 1e-05") <= TOLERANCE


def test_the_command_line_takes_the_averages(b0):
    output = b0.folder / "averages.safetensors"
    succeed("tf2pt", "--checkpoint", b0.checkpoint, "--out", output)
    assert distance(logits(output, b0.images), b0.tensorflow["logits"]) <= TOLERANCE


def test_the_comparison_sees_raw_weights_in_place_of_the_averages(b0):
    error = distance(logits(b0.convert(raw=True), b0.images), b0.tensorflow["logits"])
    assert record("b0, mutated", "raw for averages", error, "> 1e-02") > 1000 * TOLERANCE


@pytest.mark.parametrize("fact", [{"bn_eps": 1e-5}, {"padding": "symmetric"}, {"activation": "relu"}], ids=str)
def test_the_comparison_sees_a_wrong_fact(b0, fact):
    error = distance(logits(b0.convert(facts=fact), b0.images), b0.tensorflow["logits"])
    assert record("b0, mutated", str(fact), error, "> 1e-03") > 100 * TOLERANCE


@pytest.mark.parametrize(("converted", "computed"), [("project", "expand"), ("expand", "project")])
def test_the_comparison_sees_a_stride_on_the_wrong_convolution(edgetpu, converted, computed):
    output = edgetpu.convert(facts={"fused_stride": converted})
    error = distance(logits(output, edgetpu.images), edgetpu.run_tensorflow(fused_stride=computed)["logits"])
    assert record("edgetpu-s, mutated", f"{converted} for {computed}", error, "> 1e-02") > 1000 * TOLERANCE

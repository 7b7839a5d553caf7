"""The network of TensorFlow's runner is the official one: its names and shapes, and the numbers of the official graph."""

import numpy as np
import pytest

from effconvert.verification.runners.official_variables import blocks
from helpers import official_weights
from helpers.frameworks.figures import distance, record
from helpers.frameworks.tensorflow_files import save
from helpers.frameworks.tensorflow_network import MODELS, all_variables, official_network, own_name

GOLDEN = ("efficientnet-b0", "efficientnet-lite0")
MAPS = {
    "mean": lambda features: features.mean((2, 3), dtype=np.float64),
    "std": lambda features: features.std((2, 3), dtype=np.float64),
    "corner": lambda features: np.moveaxis(features[:, :8, :4, -4:], 1, -1),
}


def images(model):
    return np.moveaxis(official_weights.golden(model)["input"], -1, 1)


def golden_name(layer):
    """Return what the official graph calls the endpoint `layer`."""
    return {"head": "head_1x1", "pooled": "pooled_features"}.get(layer, layer.replace("blocks.", "block_"))


@pytest.fixture(scope="module", params=GOLDEN)
def model(request):
    return request.param


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    return save(tmp_path_factory.mktemp(model), official_weights.checkpoint(model)) / "model.ckpt"


@pytest.mark.parametrize("name", MODELS)
def test_it_reads_exactly_the_variables_of_the_official_graph(name):
    assert all_variables(name) == official_weights.all_shapes()[name]


def test_it_knows_every_official_model():
    assert set(MODELS) == set(official_weights.all_shapes())


# Pooled features of lite0 are 1.4e-5 from the golden ones, and so they are in float64: that is the rounding of
# TensorFlow 1.15 in the golden file. Everything else is nearer than 1e-5.
@pytest.mark.parametrize("weights", ["ema", "raw"])
@pytest.mark.parametrize(("output", "tolerance"), [("logits", 1e-5), ("pooled", 2e-5)])
def test_it_computes_the_golden_outputs(model, checkpoint, weights, output, tolerance):
    golden = official_weights.golden(model)[f"{golden_name(output)}_{weights}"]
    found = official_network(checkpoint, model, average=weights == "ema")(images(model))[output]
    error = distance(found, golden.reshape(found.shape))
    assert record(f"{model}, {weights}, golden", output, error, f"<= {tolerance:.0e}") <= tolerance


# The corner of lite0's last block is 1.7e-5 away, in float64 2.3e-5: once more the golden file's own rounding.
@pytest.mark.parametrize(("statistic", "tolerance"), [("mean", 1e-5), ("std", 1e-5), ("corner", 3e-5)])
def test_it_computes_the_golden_endpoints(model, checkpoint, statistic, tolerance):
    golden = official_weights.golden(model)
    outputs = {golden_name(layer): value for layer, value in official_network(checkpoint, model)(images(model)).items()}
    maps = {name: value for name, value in outputs.items() if f"endpoint_{statistic}:{name}" in golden}
    assert len(maps) == len(blocks(own_name(model))) + 2
    errors = {
        name: np.abs(MAPS[statistic](value) - golden[f"endpoint_{statistic}:{name}"]).max() / np.abs(value).max()
        for name, value in maps.items()
    }
    worst = max(errors, key=errors.get)
    record(f"{model}, ema, golden", f"{statistic} of {worst}", errors[worst], f"<= {tolerance:.0e}")
    assert {name: error for name, error in errors.items() if not error <= tolerance} == {}


def test_in_double_precision_it_stays_as_near_to_the_golden_logits(model, checkpoint):
    network = official_network(checkpoint, model, dtype=np.float64)
    error = distance(network(images(model).astype(np.float64))["logits"], official_weights.golden(model)["logits_ema"])
    assert record(f"{model}, ema, golden", "logits, ours in float64", error, "<= 1e-05") <= 1e-5

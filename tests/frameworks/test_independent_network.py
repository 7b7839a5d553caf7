"""The network that the other tests rely on is the official one: its names, and the numbers of the official graph."""

import numpy as np
import official_weights
import pytest
import tensorflow as tf
from figures import distance, record
from tensorflow_files import save
from tensorflow_network import MODELS, OfficialNetwork, block_layers, blocks, end_layers, variables_of

GOLDEN = ("efficientnet-b0", "efficientnet-lite0")
MAPS = {
    "mean": lambda features: features.mean((1, 2), dtype=np.float64),
    "std": lambda features: features.std((1, 2), dtype=np.float64),
    "corner": lambda features: features[:, :4, -4:, :8],
}


@pytest.fixture(scope="module", params=GOLDEN)
def model(request):
    return request.param


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    return save(tmp_path_factory.mktemp(model), official_weights.checkpoint(model)) / "model.ckpt"


@pytest.mark.parametrize("name", MODELS)
def test_it_reads_exactly_the_variables_of_the_official_graph(name):
    layers = [end_layers(name), *(block_layers(name, block) for block in blocks(name))]
    read = [variable for group in layers for item in group.items() for variable in variables_of(*item)]
    assert sorted(read) == sorted(official_weights.all_shapes()[name])


def test_it_knows_every_official_model():
    assert set(MODELS) == set(official_weights.all_shapes())


# Pooled features of lite0 are 1.4e-5 from the golden ones, and so they are in float64: that is the rounding of
# TensorFlow 1.15 in the golden file. Everything else is nearer than 1e-5.
@pytest.mark.parametrize("weights", ["ema", "raw"])
@pytest.mark.parametrize(("output", "tolerance"), [("logits", 1e-5), ("pooled_features", 2e-5)])
def test_it_computes_the_golden_outputs(model, checkpoint, weights, output, tolerance):
    golden = official_weights.golden(model)
    found = OfficialNetwork(checkpoint, model, average=weights == "ema")(golden["input"])[output]
    error = distance(found, golden[f"{output}_{weights}"].reshape(found.shape))
    assert record(f"{model}, {weights}, golden", output, error, f"<= {tolerance:.0e}") <= tolerance


# The corner of lite0's last block is 1.7e-5 away, in float64 2.3e-5: once more the golden file's own rounding.
@pytest.mark.parametrize(("statistic", "tolerance"), [("mean", 1e-5), ("std", 1e-5), ("corner", 3e-5)])
def test_it_computes_the_golden_endpoints(model, checkpoint, statistic, tolerance):
    golden = official_weights.golden(model)
    outputs = OfficialNetwork(checkpoint, model)(golden["input"])
    maps = {name: value for name, value in outputs.items() if f"endpoint_{statistic}:{name}" in golden}
    assert len(maps) == len(blocks(model)) + 2
    errors = {
        name: np.abs(MAPS[statistic](value) - golden[f"endpoint_{statistic}:{name}"]).max() / np.abs(value).max()
        for name, value in maps.items()
    }
    worst = max(errors, key=errors.get)
    record(f"{model}, ema, golden", f"{statistic} of {worst}", errors[worst], f"<= {tolerance:.0e}")
    assert {name: error for name, error in errors.items() if not error <= tolerance} == {}


def test_in_double_precision_it_stays_as_near_to_the_golden_logits(model, checkpoint):
    golden = official_weights.golden(model)
    found = OfficialNetwork(checkpoint, model, dtype=tf.float64)(golden["input"])["logits"]
    assert (
        record(f"{model}, ema, golden", "logits, ours in float64", distance(found, golden["logits_ema"]), "<= 1e-05")
        <= 1e-5
    )

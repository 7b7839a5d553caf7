"""The network computes what the official TensorFlow graph computes."""

from typing import Any

import numpy as np
import pytest
import torch

from effconvert.model import EfficientNet, create_model
from helpers.official_weights import canonical_weights, golden

VARIANTS = ("b0", "lite0")


def loaded(variant: str, average: bool) -> EfficientNet:
    weights = canonical_weights(f"efficientnet-{variant}", average=average)
    network = create_model(variant)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()}, strict=True)
    return network


def images(variant: str) -> torch.Tensor:
    return torch.from_numpy(golden(f"efficientnet-{variant}")["input"]).permute(0, 3, 1, 2)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("weights", ["ema", "raw"])
def test_logits_are_those_of_tensorflow(variant, weights):
    with torch.no_grad():
        logits = loaded(variant, average=weights == "ema")(images(variant)).numpy()
    expected = golden(f"efficientnet-{variant}")[f"logits_{weights}"]
    assert np.abs(logits - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("weights", ["ema", "raw"])
def test_a_network_without_classifier_returns_tensorflows_pooled_features(variant, weights):
    network = loaded(variant, average=weights == "ema")
    network.head.fc = None
    with torch.no_grad():
        pooled = network(images(variant)).numpy()
    expected = golden(f"efficientnet-{variant}")[f"pooled_features_{weights}"].reshape(2, -1)
    assert np.abs(pooled - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.fixture(scope="module", params=VARIANTS)
def endpoints(request):
    """(golden arrays, {endpoint: float32 [2, H, W, C]}) of a variant with averaged weights."""
    network = loaded(request.param, average=True)
    modules: dict[str, Any] = {"stem": network.stem, "head_1x1": network.head}
    modules |= {f"block_{index}": block for index, block in enumerate(network.blocks)}
    maps = {}
    for name, module in modules.items():
        module.register_forward_hook(
            lambda _module, _inputs, output, name=name: maps.update({name: output.permute(0, 2, 3, 1).numpy()})
        )
    with torch.no_grad():
        network(images(request.param))
    return golden(f"efficientnet-{request.param}"), maps


# Measured, as a share of the map's largest value: mean 2.4e-6, std 2.5e-6, corner 1.8e-5. In float64 the corner is
# 2.3e-5 away, so that is TensorFlow's own rounding in the last block of lite0.
@pytest.mark.parametrize(
    ("statistic", "tolerance"),
    [("mean", 1e-5), ("std", 1e-5), ("corner", 5e-5)],
)
def test_every_endpoint_is_that_of_tensorflow(endpoints, statistic, tolerance):
    expected, maps = endpoints
    measures = {
        "mean": lambda features: features.mean((1, 2), dtype=np.float64),
        "std": lambda features: features.std((1, 2), dtype=np.float64),
        "corner": lambda features: features[:, :4, -4:, :8],
    }
    errors = {
        name: np.abs(measures[statistic](features) - expected[f"endpoint_{statistic}:{name}"]).max()
        / np.abs(features).max()
        for name, features in maps.items()
    }
    assert len(errors) == 18
    assert {name: error for name, error in errors.items() if error > tolerance} == {}

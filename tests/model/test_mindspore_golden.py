"""The network with the facts of a layout computes what mindvision and MindCV compute on MindSpore."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import VARIANTS
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_moves
from effconvert.model import EfficientNet, create_model
from effconvert.model.layers import ACTIVATIONS
from helpers import mindspore_weights

B0 = VARIANTS["b0"]


def facts_of(library: str) -> Facts:
    return find_layout(library).facts_of("b0", default_facts(B0))


def loaded(library: str, facts: Facts) -> EfficientNet:
    values = mindspore_weights.parameters(library)
    moves = compile_moves(find_layout(library), B0)
    network = create_model(B0, facts)
    state = {move.target: torch.from_numpy(np.ascontiguousarray(move.apply(values[move.source]))) for move in moves}
    network.load_state_dict(state, strict=True)
    return network


def distance(found: torch.Tensor, expected: np.ndarray) -> float:
    return float(np.abs(found.numpy() - expected).max() / np.abs(expected).max())


# Measured: mindvision 1.2e-5 (its own rounding: the same in float64), MindCV 8.4e-6.
@pytest.mark.parametrize("library", ["mindvision", "mindcv"])
def test_logits_and_pooled_features_are_the_librarys(library):
    golden = mindspore_weights.golden(library)
    network = loaded(library, facts_of(library))
    with torch.no_grad():
        logits = network(torch.from_numpy(golden["x"]))
        network.head.fc = None
        pooled = network(torch.from_numpy(golden["x"]))
    assert distance(logits, golden["logits"]) <= 2e-5
    assert distance(pooled, golden["pooled"]) <= 2e-5


@pytest.mark.parametrize("library", ["mindvision", "mindcv"])
@pytest.mark.parametrize("wrong", [{"bn_eps": 1e-3}, {"padding": "other"}])
def test_another_eps_or_padding_would_be_noticed(library, wrong):
    facts = facts_of(library)
    if "padding" in wrong:
        wrong = {"padding": {"symmetric": "tf-same", "tf-same": "symmetric"}[facts.padding]}
    golden = mindspore_weights.golden(library)
    with torch.no_grad():
        logits = loaded(library, replace(facts, **wrong))(torch.from_numpy(golden["x"]))
    assert distance(logits, golden["logits"]) > 0.01


def test_hswish_is_that_of_the_model_zoo():
    x = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    assert torch.allclose(ACTIVATIONS["hswish"]()(x), x * torch.clamp(x + 3, 0, 6) / 6, rtol=0, atol=1e-15)


def test_the_zoos_b0_has_hswish_in_its_gates_too():
    network = create_model(B0, facts_of("mindspore-zoo-b0"))
    kinds = {type(module) for module in network.modules()} & {*ACTIVATIONS.values()}
    assert kinds == {ACTIVATIONS["hswish"]}
    assert type(network.blocks[0].se.activation) is ACTIVATIONS["hswish"]

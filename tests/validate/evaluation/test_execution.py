"""A network on a device gives the same logits for every batch size, in the recipe's order of colours."""

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from effconvert.errors import LayoutMismatch, Unavailable
from effconvert.model import EfficientNet, create_model
from effconvert.preprocessing.recipes import Recipe, official_recipe, recipe_for
from effconvert.validate.evaluation.computing import Computing
from effconvert.validate.evaluation.execution import Execution
from helpers.validate.asked_files import seeing

SIZE = 64
CPU = Computing("cpu", "float32")
OFFICIAL = official_recipe("lite0").at(SIZE)


@cache
def network() -> EfficientNet:
    return seeing("lite0", classes=6)


@cache
def pixels(count: int = 7) -> Tensor:
    """[count, 64, 64, 3], uint8, from dark to bright."""
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (count, SIZE, SIZE, 3)) * np.linspace(0.2, 1, count)[:, None, None, None]
    return torch.from_numpy(images.astype(np.uint8))


def normalised(recipe: Recipe) -> Tensor:
    """Return the network's input for `pixels()`, computed step by step from the recipe."""
    values: Any = pixels().numpy().astype(np.float32)
    if recipe.channels == "bgr":
        values = values[..., ::-1]
    values = (values - np.array(recipe.mean, np.float32)) / np.array(recipe.std, np.float32)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))


def logits(execution: Execution, of: Tensor | None = None) -> Tensor:
    with torch.inference_mode():
        return execution.logits(pixels() if of is None else of)


def with_memory_for(execution: Execution, images: int) -> list[int]:
    """Let the network run out of memory above so many images; return the list that its batches are written to."""
    seen: list[int] = []
    compute = execution._network.forward_features

    def limited(values: Tensor) -> Tensor:
        seen.append(len(values))
        if len(values) > images:
            raise torch.OutOfMemoryError("out of memory")
        return compute(values)

    execution._network.forward_features = limited  # type: ignore[method-assign, assignment]
    return seen


def compiled_to(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Put a recorder in place of torch.compile; return the list that the sizes of batches are written to."""
    seen: list[int] = []

    def compile_(function: Callable[[Tensor], Tensor], **options: Any) -> Callable[[Tensor], Tensor]:
        def run(batch: Tensor) -> Tensor:
            seen.append(len(batch))
            return function(batch)

        assert options["dynamic"] is False
        return run

    monkeypatch.setattr(torch, "compile", compile_)
    return seen


@pytest.mark.parametrize("recipe", [OFFICIAL, recipe_for("mmpretrain", "b0").at(SIZE), official_recipe("b0").at(SIZE)])
@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_logits_are_those_of_the_normalised_image(recipe: Recipe, channels: str) -> None:
    recipe = dataclasses.replace(recipe, channels=channels)
    with torch.no_grad():
        expected = network()(normalised(recipe))
    found = logits(Execution(network(), recipe, CPU, 4))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5 * float(expected.abs().max()))


def test_the_order_of_colours_would_be_seen() -> None:
    turned = dataclasses.replace(OFFICIAL, channels="bgr")
    assert (
        logits(Execution(network(), OFFICIAL, CPU, 7)) - logits(Execution(network(), turned, CPU, 7))
    ).abs().max() > 0.1


def test_pixels_that_are_not_rounded_are_taken_as_they_are() -> None:
    execution = Execution(network(), OFFICIAL, CPU, 7)
    of_bytes = logits(execution)
    assert torch.equal(logits(execution, pixels().float()), of_bytes)
    assert not torch.equal(logits(execution, pixels().float() + 0.4), of_bytes)


def test_pixels_are_not_overwritten() -> None:
    given = pixels().float()
    before = given.clone()
    logits(Execution(network(), OFFICIAL, CPU, 7), given)
    assert torch.equal(given, before)


def test_out_of_memory_halves_what_is_computed_at_once() -> None:
    alone = Execution(network(), OFFICIAL, CPU, 1)
    expected = torch.cat([logits(alone, part) for part in pixels().split(1)])
    execution = Execution(network(), OFFICIAL, CPU, 7)
    seen = with_memory_for(execution, 1)
    found = logits(execution)
    assert torch.equal(found, expected)
    assert execution.at_once == 1
    assert seen == [7, 3, *[1] * 7]


def test_what_once_did_not_fit_is_not_tried_again() -> None:
    execution = Execution(network(), OFFICIAL, CPU, 4)
    seen = with_memory_for(execution, 2)
    logits(execution)
    seen.clear()
    logits(execution)
    assert seen == [2, 2, 2, 1]


def test_a_batch_that_was_asked_for_larger_than_it_came_is_halved_from_what_came() -> None:
    execution = Execution(network(), OFFICIAL, CPU, 1024)
    seen = with_memory_for(execution, 3)
    logits(execution)
    assert seen[:2] == [7, 3]


def test_where_not_one_image_fits_it_says_so() -> None:
    execution = Execution(network(), OFFICIAL, CPU, 4)
    with_memory_for(execution, 0)
    with pytest.raises(Unavailable, match="cpu: memory is too small for even one image"):
        logits(execution)


def test_other_errors_of_a_network_are_not_taken_for_want_of_memory() -> None:
    execution = Execution(network(), OFFICIAL, CPU, 4)
    with pytest.raises(RuntimeError, match="must match"):
        logits(execution, pixels()[..., :2])


def test_a_compiled_network_gets_batches_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = compiled_to(monkeypatch)
    execution = Execution(network(), OFFICIAL, Computing("cpu", "float32", compiled=True), 4)
    found = logits(execution)
    assert set(seen) == {4}
    assert execution.how == "compiled"
    expected = logits(Execution(network(), OFFICIAL, CPU, 4))
    assert found.shape == expected.shape == (7, 6)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5 * float(expected.abs().max()))


def test_what_fills_a_batch_up_changes_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_to(monkeypatch)
    execution = Execution(network(), OFFICIAL, Computing("cpu", "float32", compiled=True), 8)
    among_others = logits(execution, pixels(8))
    alone = logits(execution, pixels(8)[:1])
    assert torch.equal(alone, among_others[:1])


def test_a_batch_is_not_filled_up_beyond_the_largest_that_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = compiled_to(monkeypatch)
    execution = Execution(network(), OFFICIAL, Computing("cpu", "float32", compiled=True), 1024)
    logits(execution)
    logits(execution, pixels()[:2])
    assert set(seen) == {7}
    assert execution.at_once == 7


def test_a_compiled_network_is_compiled_again_for_half_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = compiled_to(monkeypatch)
    execution = Execution(network(), OFFICIAL, Computing("cpu", "float32", compiled=True), 4)
    with_memory_for(execution, 2)
    assert len(logits(execution)) == 7
    assert seen[0] == 4
    assert set(seen[1:]) == {2}


def test_the_classifier_is_computed_in_float32_by_its_own_weights() -> None:
    execution = Execution(network(), OFFICIAL, Computing("cpu", "bfloat16"), 7)
    head, own = execution._network.head, network().head
    assert head is not None
    assert own is not None
    assert head.fc is not None
    assert own.fc is not None
    assert head.conv.weight.dtype == torch.bfloat16
    assert head.fc.weight.dtype == torch.float32
    assert torch.equal(head.fc.weight, own.fc.weight)
    found, expected = logits(execution), logits(Execution(network(), OFFICIAL, CPU, 7))
    assert found.dtype == torch.float32
    assert not torch.equal(found, found.bfloat16().float())
    difference = float((found - expected).abs().max() / expected.abs().max())
    assert 1e-4 < difference < 0.1  # bfloat16's own rounding, and no more


@pytest.mark.parametrize("facts", [{"classes": 0}, {"classes": 0, "head_conv": False}])
def test_a_network_without_a_classifier_is_refused(facts: dict[str, Any]) -> None:
    with pytest.raises(LayoutMismatch, match="no classifier"):
        Execution(create_model("lite0", **facts), OFFICIAL, CPU, 4)


def test_the_network_that_was_given_is_left_as_it_was() -> None:
    before = {name: tensor.clone() for name, tensor in network().state_dict().items()}
    logits(Execution(network(), OFFICIAL, Computing("cpu", "bfloat16"), 4))
    after = network().state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)

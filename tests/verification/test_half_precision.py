"""A file in half precision is held against the source with its weights rounded alike, and what that costs is measured."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.verification.comparison import TOLERANCES
from effconvert.verification.network_files import examine
from effconvert.verification.numpy_network import compute
from effconvert.verification.procedure import verify
from effconvert.verification.verdict import DIFFERENT, SAME
from helpers.verification.fake_pythons import told
from helpers.verification.procedures import ASSUMED, IMAGES, WRONG, State, saved
from helpers.verification.running_here import canonical_network_in_this_process

pytestmark = pytest.mark.xdist_group("procedure")


@pytest.fixture(autouse=True, scope="module")
def _in_this_process() -> Iterator[None]:
    with canonical_network_in_this_process():
        yield


def outputs_of(file: Path) -> np.ndarray:
    """The logits of the first image."""
    examined = examine(file)
    images = IMAGES.prepared(examined.recipe, examined.identity.variant.name).images
    return compute(examined.canonical_tensors(), examined.identity.variant, examined.facts, images[:1])["logits"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_held_to_the_tolerance_of_float32_against_the_rounded_source(
    source: Path, tmp_path: Path, dtype: str
) -> None:
    effconvert.convert(source, tmp_path / "half.safetensors", dtype=dtype)
    found = verify(tmp_path / "half.safetensors", source, images=IMAGES)
    assert (found.verdict.word, found.verdict.rounded) == (SAME, dtype)
    assert found.verdict.tolerance == TOLERANCES["float32"]
    assert (
        found.verdict.sentence == f"same except for the rounding to {dtype}: every layer is equal bit for bit{ASSUMED}"
    )
    assert all(0 < rounding.worst < TOLERANCES["float32"].end_to_end for rounding in found.roundings)


def test_what_the_rounding_of_the_weights_costs_is_measured(source: Path, tmp_path: Path) -> None:
    costs = {}
    for dtype in ("float16", "bfloat16"):
        half = tmp_path / f"{dtype}.safetensors"
        effconvert.convert(source, half, dtype=dtype)
        costs[dtype] = verify(half, source, images=IMAGES).rounding_cost or 0.0
        assert verify(half, source, images=IMAGES, in_float64=False).rounding_cost is None
    assert 1e-5 < costs["float16"] < costs["bfloat16"] < 0.5
    exact, rounded = outputs_of(source), outputs_of(tmp_path / "float16.safetensors")
    assert costs["float16"] == pytest.approx(np.abs(exact - rounded).max() / np.abs(exact).max(), rel=1e-2)


def test_a_small_fault_in_half_precision_is_found(source: Path, state: State, tmp_path: Path) -> None:
    wrong = {name: tensor.half() for name, tensor in (state | {WRONG: state[WRONG] * 1.002}).items()}
    found = verify(saved(tmp_path / "wrong.pth", wrong), source, images=IMAGES)
    assert found.verdict.word == DIFFERENT
    assert found.verdict.first is not None
    assert found.verdict.first.layer == "blocks.3"
    assert {name for name, (_, differs) in found.tensors.items() if differs} == {WRONG}
    assert found.judgement.endswith("and the files differ: the values of 1 of 311 tensors")


def test_only_tensors_that_were_rounded_are_rounded_in_the_source(source: Path, state: State, tmp_path: Path) -> None:
    mixed = saved(tmp_path / "mixed.pth", state | {WRONG: state[WRONG].bfloat16()})
    found = verify(mixed, source, images=IMAGES, in_float64=False)
    assert found.source.rounded == {WRONG: "bfloat16"}
    assert (
        found.verdict.sentence == f"same except for the rounding to bfloat16: every layer is equal bit for bit{ASSUMED}"
    )


def test_a_library_runs_the_rounded_tensors_and_not_its_own_file(
    source: Path, tmp_path: Path, player: Callable[..., Path]
) -> None:
    effconvert.convert(source, tmp_path / "timm.pth", to="timm")
    effconvert.convert(source, tmp_path / "half.safetensors", dtype="float16")
    python = player(tmp_path / "half.safetensors", "timm", "load_state_dict of given tensors")
    found = verify(tmp_path / "half.safetensors", tmp_path / "timm.pth", images=IMAGES, pythons={"timm": str(python)})
    assert found.verdict.word == SAME
    assert "--tensors" in told(python)[0]["options"]
    assert found.reference["loader"] == "load_state_dict of given tensors"
    assert not any("own loader cannot read" in caution for caution in found.cautions)

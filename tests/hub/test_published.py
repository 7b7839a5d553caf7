"""A file that another library published is converted with the facts of the network that it was published for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import LayoutMismatch, OutputProblem
from effconvert.hub.published_conversion import convert_published
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_moves
from effconvert.validate.evaluation.chosen_files import files_to_measure
from helpers.hub.serving import Server, serve

TAG = "ra4_e3600_r224_in1k"  # efficientnet_b0, whose file timm names without a hash


@pytest.fixture(scope="module")
def published() -> bytes:
    """A file as timm writes it for efficientnet_b0."""
    chance = np.random.default_rng(5)
    b0 = VARIANTS["b0"]
    moves = compile_moves(find_layout("timm"), b0, default_facts(b0))
    return safetensors.numpy.save(
        {move.source: chance.random(move.source_shape, np.float32) + np.float32(0.1) for move in moves}
    )


@pytest.mark.usefixtures("cache")
def test_timms_own_network_is_converted_with_its_own_facts(server: Server, published: bytes, tmp_path: Path) -> None:
    server.answers = [serve(published)]
    report = convert_published("b0", tmp_path / "b0.safetensors", framework="timm", weights=TAG)
    assert (report.layout, report.weights, report.tensors) == ("timm", TAG, 311)
    assert (report.facts["padding"], report.facts["bn_eps"]) == ("symmetric", 1e-5)


@pytest.mark.usefixtures("cache")
def test_what_the_user_says_of_the_facts_wins(server: Server, published: bytes, tmp_path: Path) -> None:
    server.answers = [serve(published)]
    facts = {"bn_eps": "1e-4"}
    report = convert_published("b0", tmp_path / "b0.safetensors", framework="timm", weights=TAG, facts=facts)
    assert (report.facts["padding"], report.facts["bn_eps"]) == ("symmetric", 1e-4)


@pytest.mark.usefixtures("cache")
def test_the_output_is_named_as_the_user_names_the_weights(
    server: Server, published: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.answers = [serve(published)]
    assert convert_published("b0", framework="timm", weights=TAG).output == f"b0-{TAG}.safetensors"


def test_an_output_that_exists_is_refused_before_anything_is_downloaded(
    server: Server, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "b0.safetensors").touch()
    with pytest.raises(OutputProblem):
        convert_published("b0", tmp_path / "b0.safetensors", framework="mmpretrain")
    assert not server.requests


def test_weights_that_nobody_published_are_refused_with_those_that_were(server: Server, cache: Path) -> None:
    with pytest.raises(LayoutMismatch, match="which has base, aa, advprop, ns"):
        convert_published("b0", framework="mmpretrain", weights="ra")
    assert not server.requests


@pytest.mark.usefixtures("cache")
def test_what_was_converted_from_a_mirror_is_there_to_be_measured(
    server: Server, published: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.answers = [serve(published)]
    asked: dict[str, Any] = {"variant": "b0", "framework": "timm", "weights": TAG}
    assert files_to_measure([], **asked) == files_to_measure([], **asked) == [Path(f"b0-{TAG}.safetensors")]
    assert len(server.requests) == 1

"""Warnings stand beside a verdict: assumptions, omissions, and runs that differ from what a user expects."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import effconvert
from effconvert.architecture.canonical import CANONICAL
from effconvert.options import Options
from effconvert.verification.network_files import NetworkFile, examine
from effconvert.verification.runs import open_run
from effconvert.verification.verdict import lacks_background
from effconvert.verification.verdict_warnings import inexactness, warnings_for
from helpers.library_files import library_tensors, save
from helpers.verification.small_runs import write_run

Cautions = Callable[..., tuple[str, ...]]


def of_timm(path: Path, **changes: object) -> Path:
    content = {"arch": "tf_efficientnet_b0", "state_dict": library_tensors("timm", **changes)}  # type: ignore[arg-type]
    return save(path, content)


@pytest.fixture
def told(tmp_path: Path) -> Cautions:
    """The cautions on two files, of which a framework has run the first, loading it as `loader` says."""

    def on(
        source: NetworkFile, converted: NetworkFile, framework: str = "timm", loader: str = "own"
    ) -> tuple[str, ...]:
        said = {"framework": framework, "loader": loader}
        write_run(tmp_path / "run.npz", record=said)
        with open_run(tmp_path / "run.npz") as run:
            return tuple(warnings_for(source, converted, run))

    return on


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of timm's that says which network it is."""
    return of_timm(tmp_path / "source.pth")


@pytest.fixture
def converted(source: Path) -> Path:
    effconvert.convert(source, source.with_name("converted.safetensors"))
    return source.with_name("converted.safetensors")


def test_where_nothing_is_doubtful_nothing_is_said(told: Cautions, source: Path, converted: Path) -> None:
    assert told(examine(source), examine(converted)) == ()


def test_a_source_without_another_library_proves_little(told: Cautions, converted: Path) -> None:
    assert told(examine(converted), examine(converted), CANONICAL, "effconvert's own reader") == (
        f"{converted} is already canonical, so no other framework took part; verify against the original checkpoint instead",
    )


@pytest.mark.parametrize("loader", ["given tensors", "load_state_dict of given tensors"])
def test_a_file_that_the_librarys_own_loader_does_not_take_is_told(
    told: Cautions, source: Path, converted: Path, loader: str
) -> None:
    assert told(examine(source), examine(converted), loader=loader) == (
        f"the framework's own loader cannot read {source}; effconvert read the tensors for it",
    )


def test_tensors_that_were_given_because_they_were_rounded_are_no_fault_of_the_file(
    told: Cautions, source: Path, converted: Path
) -> None:
    half = converted.with_name("half.safetensors")
    effconvert.convert(source, half, dtype="float16")
    rounded = examine(source).rounded_like(examine(half))
    assert told(rounded, examine(half), loader="given tensors") == ()


def test_given_facts_are_no_finding(told: Cautions, source: Path) -> None:
    facts = {"padding": "symmetric", "bn_eps": 1e-3}
    symmetric = source.with_name("symmetric.safetensors")
    effconvert.convert(source, symmetric, facts=facts)
    said = told(examine(source, Options(facts=facts)), examine(symmetric))
    assert said == (f"{source}: padding=symmetric, bn_eps=0.001 was set by facts=…, not detected",)


def test_facts_that_were_guessed_are_told(told: Cautions, tmp_path: Path) -> None:
    unnamed = save(tmp_path / "model.pth", library_tensors("timm"))
    effconvert.convert(unnamed, tmp_path / "converted.safetensors")
    (said,) = told(examine(unnamed), examine(tmp_path / "converted.safetensors"))
    assert said.startswith(f"{unnamed}: ambiguous")
    assert 'choose another with facts={"bn_eps": 1e-05, "padding": "symmetric"}' in said


def test_a_file_that_was_converted_from_another_is_told(told: Cautions, converted: Path) -> None:
    another = of_timm(converted.with_name("another.pth"), seed=1)
    assert told(examine(another), examine(converted)) == (
        f"{converted} was converted from another file than {another}, as its own record says",
    )


def test_files_of_which_one_was_made_from_the_other_or_that_are_the_same_are_of_one_source(
    told: Cautions, source: Path, converted: Path
) -> None:
    back, copy = source.with_name("back.safetensors"), source.with_name("copy.safetensors")
    effconvert.convert(converted, back, to="timm")
    copy.write_bytes(converted.read_bytes())
    pairs = [
        (source, converted),
        (converted, source),
        (converted, back),
        (back, converted),
        (source, back),
        (converted, converted),
        (copy, converted),
        (back, back),
    ]
    assert [told(examine(one), examine(other)) for one, other in pairs] == [()] * len(pairs)


def test_a_file_that_says_nothing_of_its_source_raises_no_doubt(told: Cautions, source: Path, tmp_path: Path) -> None:
    other = of_timm(tmp_path / "other.pth", seed=1)
    assert told(examine(source), examine(other)) == ()


def test_raw_weights_against_averages_are_told(told: Cautions, b0: Path, tmp_path: Path) -> None:
    effconvert.convert(b0, tmp_path / "raw.safetensors", raw=True)
    raw = examine(tmp_path / "raw.safetensors")
    assert told(examine(b0), raw) == (
        "the converted file has the raw weights, but the source ran with its averages; raw=True runs its raw weights",
    )
    assert told(examine(b0, Options(raw=True)), raw) == ()


def test_a_background_class_that_was_left_out_is_told(told: Cautions, tmp_path: Path) -> None:
    source = of_timm(tmp_path / "source.pth", classes=1001)
    effconvert.convert(source, tmp_path / "less.safetensors", drop_background_class=True)
    less = examine(tmp_path / "less.safetensors")
    assert lacks_background(examine(source).facts.to_dict(), less.facts.to_dict())
    assert told(examine(source), less) == (
        "the converted file does not have the source's class 0, the background class; it is not compared",
    )


def test_an_inexact_conversion_says_what_its_librarys_network_has(told: Cautions, source: Path) -> None:
    inexact = source.with_name("torchvision.pth")
    effconvert.convert(source, inexact, to="torchvision", allow_inexact=True)
    sentence = (
        f"{inexact} was converted inexactly: its library's network has bn_eps 1e-05, padding symmetric, but the "
        "weights need 0.001, tf-same"
    )
    assert inexactness(examine(inexact)) == sentence
    assert told(examine(source), examine(inexact)) == (sentence,)


def test_an_exact_conversion_is_not_called_otherwise(converted: Path) -> None:
    assert inexactness(examine(converted)) == ""


def test_another_preprocessing_is_told(told: Cautions, source: Path) -> None:
    said = {"input_size": [3, 224, 224], "crop_pct": 0.875, "interpolation": "bicubic"}
    said |= {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    config = source.with_name("config.json")
    config.write_text(json.dumps({"architecture": "tf_efficientnet_b0", "pretrained_cfg": said}))
    effconvert.convert(source, source.with_name("other.safetensors"))
    config.unlink()
    one, other = examine(source), examine(source.with_name("other.safetensors"))
    assert told(one, other) == (
        f"preprocessing: {one.path} needs mean 123.675, 116.28, 103.53 and std 58.395, 57.12, 57.375, "
        f"{other.path} needs mean 127.5, 127.5, 127.5 and std 127.5, 127.5, 127.5",
    )

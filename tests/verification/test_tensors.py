"""The tensors of a converted file equal the source's, for every layout, dtype and number of classes."""

from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.options import Options
from effconvert.verification.network_files import examine
from effconvert.verification.runs import layer_of_tensor, tensors_of_layer
from effconvert.verification.tensor_differences import unlike_tensors
from helpers.library_files import library_tensors, save


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save(tmp_path / "source.pth", library_tensors("timm", classes=3))


def unlike(source: Path, converted: Path) -> dict[str, float]:
    return unlike_tensors(examine(source), examine(converted))


def with_change(source: Path, name: str, by: float) -> Path:
    """The file with the largest value of one tensor moved by the share `by` of itself."""
    tensors = library_tensors("timm", classes=3)
    values = tensors[name].copy()
    values.flat[np.abs(values).argmax()] *= 1 + by
    return save(source.with_name("changed.pth"), tensors | {name: values})


@pytest.mark.parametrize(
    ("to", "name"),
    [("canonical", "b0.safetensors"), ("tf-official", "b0"), ("mmpretrain", "b0.pth"), ("huggingface", "b0")],
)
def test_a_converted_file_has_the_tensors_of_its_source(source: Path, to: str, name: str) -> None:
    effconvert.convert(source, source.with_name(name), to=to)
    assert unlike(source, source.with_name(name)) == {}


def test_a_value_that_differs_is_measured_in_shares_of_its_tensors_largest(source: Path) -> None:
    found = unlike(source, with_change(source, "blocks.1.0.se.conv_reduce.weight", 1e-3))
    assert found == {"blocks.1.se.reduce.weight": pytest.approx(1e-3, rel=1e-2)}


@pytest.mark.parametrize(("by", "differs"), [(8e-7, False), (2e-6, True)])
def test_a_millionth_is_the_least_that_counts(source: Path, by: float, differs: bool) -> None:
    found = unlike(source, with_change(source, "conv_stem.weight", by))
    assert list(found) == (["stem.conv.weight"] if differs else [])


def test_an_epsilon_that_was_folded_into_the_variances_is_no_difference(source: Path) -> None:
    folded = source.with_name("folded.pth")
    facts = {"bn_eps": 1e-5, "padding": "tf-same"}
    effconvert.convert(source, folded, to="lukemelas", facts=facts, fold_eps=True)
    one, other = examine(source, Options(facts=facts)), examine(folded)
    assert one.facts.bn_eps != other.facts.bn_eps
    name = "stem.bn.running_var"
    assert not np.allclose(one.canonical_tensors({name})[name], other.canonical_tensors({name})[name], rtol=1e-5)
    assert unlike_tensors(one, other) == {}


def test_equal_variances_are_no_difference_whatever_the_epsilon(source: Path) -> None:
    assert unlike_tensors(examine(source, Options(facts={"bn_eps": 1e-2})), examine(source)) == {}


def test_a_source_that_was_rounded_is_compared_as_it_was_rounded(source: Path) -> None:
    half = source.with_name("half.safetensors")
    effconvert.convert(source, half, dtype="float16")
    assert unlike_tensors(examine(source).rounded_like(examine(half)), examine(half)) == {}
    assert len(unlike(source, half)) > 100


@pytest.mark.parametrize("dropped", ["the first", "the last"])
def test_only_the_background_class_may_be_left_out(tmp_path: Path, dropped: str) -> None:
    tensors = library_tensors("timm", classes=1001)
    rows = slice(1, None) if dropped == "the first" else slice(None, -1)
    less = tensors | {name: tensors[name][rows] for name in ("classifier.weight", "classifier.bias")}
    found = unlike(save(tmp_path / "all.pth", tensors), save(tmp_path / "less.pth", less))
    assert list(found) == ([] if dropped == "the first" else ["head.fc.weight", "head.fc.bias"])


def test_another_number_of_classes_is_infinitely_far(tmp_path: Path, source: Path) -> None:
    found = unlike(source, save(tmp_path / "two.pth", library_tensors("timm", classes=2)))
    assert found.keys() >= {"head.fc.weight", "head.fc.bias"}
    assert found["head.fc.weight"] == np.inf


def test_a_classifier_that_only_one_file_has_is_not_compared(tmp_path: Path, source: Path) -> None:
    tensors = library_tensors("timm", classes=3)
    backbone = {name: tensor for name, tensor in tensors.items() if not name.startswith("classifier.")}
    bare = save(tmp_path / "bare.pth", backbone)
    assert unlike(source, bare) == unlike(bare, source) == {}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_equals_itself_at_the_same_place_and_nothing_else(source: Path, value: float) -> None:
    tensors = library_tensors("timm", classes=3)
    broken = tensors["conv_stem.weight"].copy()
    broken[0, 0, 0, :2] = value
    one = save(source.with_name("one.pth"), tensors | {"conv_stem.weight": broken})
    assert unlike(one, one) == {}
    assert list(unlike(one, source)) == list(unlike(source, one)) == ["stem.conv.weight"]


def test_every_tensor_belongs_to_the_layer_that_names_it(source: Path) -> None:
    names = {move.target: move.source for move in examine(source).coverage.moves}
    assert all(name in tensors_of_layer(names, layer_of_tensor(name)) for name in names)

"""Values of a trained file tell which layers follow each other, and which vector of a BatchNorm is which."""

import random
import tomllib
from pathlib import Path

import numpy as np
import pytest

from effconvert.drafting.by_values import AGREES
from effconvert.drafting.draft import Draft, draft_map
from effconvert.drafting.flow import activated, agreement
from helpers.library_files import library_tensors, save
from helpers.maps.judging import judge
from helpers.maps.permuted_files import INVISIBLE, WAYS
from helpers.maps.trained_like import as_library, trained_like

ALL = WAYS | INVISIBLE


def drafted(folder: Path, way: str) -> tuple[Draft, dict[str, np.ndarray]]:
    file = ALL[way](as_library("timm", "lite0"), random.Random(0))
    return draft_map(save(folder / "unknown.pth", file), "lite0"), file


@pytest.mark.parametrize("way", ALL)
def test_what_is_decided_of_a_trained_file_is_right_also_where_names_and_order_lie(tmp_path: Path, way: str) -> None:
    draft, file = drafted(tmp_path, way)
    judged = judge(draft, file, trained_like("lite0"))
    assert (judged.wrong, judged.lost) == ([], [])


@pytest.mark.parametrize("way", ["as it is", "any order", "sorted"])
def test_values_confirm_what_names_tell(tmp_path: Path, way: str) -> None:
    draft, _ = drafted(tmp_path, way)
    assert not draft.open
    assert any(words.startswith("the values agree: 48 of 48 recorded means follow") for words in draft.said)


@pytest.mark.parametrize("way", ["any order", "sorted"])
def test_what_values_do_not_see_is_asked_about_where_the_order_tells_nothing(tmp_path: Path, way: str) -> None:
    draft, _ = drafted(tmp_path, way)
    (question,) = draft.questions
    assert question.where == "library.caution"
    assert question.candidates[0].endswith(
        "only names told which squeeze-and-excite, scale, shift and variance is which"
    )


def test_the_order_of_a_file_confirms_all_of_its_names(tmp_path: Path) -> None:
    assert drafted(tmp_path, "as it is")[0].is_complete


def test_values_alone_tell_layers_that_names_and_order_do_not(tmp_path: Path) -> None:
    draft, _ = drafted(tmp_path, "meaningless layers, sorted")
    assert "58 layers decided by values" in draft.said  # the last stage sees two by two pixels, mostly padding
    assert {target.split(".")[1] for target in draft.open} == {"12", "13", "14", "15"}
    assert "# Decided by values, which are evidence, not proof:\n# stem.bn, values, " in draft.text


def test_values_contradict_names_that_were_exchanged(tmp_path: Path) -> None:
    draft, _ = drafted(tmp_path, "names of equal layers, sorted")
    assert not draft.is_complete
    assert any("names alone are not believed" in words for words in draft.said)


def test_values_tell_the_vectors_of_a_batchnorm_whose_words_mean_nothing(tmp_path: Path) -> None:
    draft, _ = drafted(tmp_path, "other words, sorted")
    assert not draft.open
    assert any(words.startswith("a BatchNorm's tensors are decided by values") for words in draft.said)


def test_values_contradict_words_that_were_exchanged(tmp_path: Path) -> None:
    draft, _ = drafted(tmp_path, "mean and bias exchanged, sorted")
    assert "the values contradict the names of a BatchNorm's tensors" in draft.said
    assert {"bias", "running_mean"} <= {candidate for question in draft.questions for candidate in question.candidates}


def test_the_first_answer_to_each_question_is_that_of_the_values(tmp_path: Path) -> None:
    draft, _ = drafted(tmp_path, "mean and bias exchanged, sorted")
    drafted_map = tomllib.loads(draft.text)["kinds"]["bn"]
    first = {leaf: roles if isinstance(roles, str) else roles[0] for leaf, roles in drafted_map.items()}
    assert (first["running_mean"], first["bias"]) == ("bias", "running_mean")


def test_values_before_a_training_say_nothing(tmp_path: Path) -> None:
    draft = draft_map(save(tmp_path / "unknown.pth", library_tensors("timm", "lite0")), "lite0")
    assert any(words.startswith("the values say nothing") for words in draft.said)


@pytest.mark.parametrize("name", ["silu", "relu", "relu6", "hswish"])
def test_the_mean_behind_an_activation_is_that_of_many_values(name: str) -> None:
    function = {
        "silu": lambda x: x / (1 + np.exp(-x)),
        "relu": lambda x: np.maximum(x, 0),
        "relu6": lambda x: np.clip(x, 0, 6),
        "hswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    }[name]
    means, deviations = np.array([-1.0, 0.0, 2.0]), np.array([0.5, 1.0, -2.0])
    drawn = np.random.default_rng(0).normal(means, np.abs(deviations), (1_000_000, 3))
    assert np.allclose(activated(name, means, deviations), function(drawn).mean(axis=0), atol=0.02)


def test_vectors_that_have_nothing_to_do_with_each_other_do_not_agree() -> None:
    random_vectors = np.random.default_rng(0).normal(size=(2, 500, 64))
    assert agreement(*random_vectors).max() < AGREES
    assert agreement(random_vectors[0], random_vectors[0] + 0.1).diagonal().min() > AGREES

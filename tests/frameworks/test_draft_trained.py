"""Google's trained Lite networks are drafted as files of an unknown layout: names permuted, order lost."""

import random
from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.architecture.variants import VARIANTS
from effconvert.drafting.draft import draft_map
from effconvert.maps.layouts import find_layout, parse_layout
from effconvert.maps.moves import compile_moves
from helpers.frameworks.trained_weights import VARIANTS as VARIANTS_OF_TRAINED
from helpers.frameworks.trained_weights import Trained
from helpers.library_files import save
from helpers.maps.judging import judge
from helpers.maps.permuted_files import INVISIBLE, WAYS

ALL = WAYS | INVISIBLE
# What one cannot tell of a tensor whose layer's name is lost as well: values tell of layers, not of single vectors.
UNDECIDABLE = {"names of any, sorted", "names of equal shape, sorted", "meaningless names, sorted"}
CONTRADICTED = {"names of equal layers, sorted", "mean and bias exchanged, sorted"}
# Where the order of the file says nothing, values confirm convolutions and recorded means, and the rest is asked about.
UNORDERED = {"any order", "sorted", "other words, sorted"}


@pytest.fixture(scope="module")
def lite0(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained("lite0", tmp_path_factory.mktemp("trained"))


def tensors_of(path: Path) -> dict[str, np.ndarray]:
    with effconvert.open_checkpoint(path) as checkpoint:
        return {name: checkpoint.read(name).copy() for name in checkpoint.tensors}


@pytest.mark.parametrize("variant", VARIANTS_OF_TRAINED)
def test_the_published_file_gives_a_map_that_converts_it_as_the_known_map_does(variant: str, tmp_path: Path) -> None:
    trained = Trained(variant, tmp_path)
    draft = draft_map(trained.published, trained.variant)
    assert draft.is_complete
    file, truth = tensors_of(trained.published), tensors_of(trained.converted("canonical"))
    moves = compile_moves(parse_layout(draft.text.encode(), "drafted.toml"), VARIANTS[trained.variant])
    assert all(move.apply(file[move.source]).tobytes() == truth[move.target].tobytes() for move in moves)
    known = compile_moves(find_layout("lukemelas"), VARIANTS[trained.variant])
    assert [(move.source, move.target) for move in moves] == [(move.source, move.target) for move in known]


@pytest.mark.parametrize("way", ALL)
def test_values_see_through_what_was_done_to_names_and_order(lite0: Trained, way: str, tmp_path: Path) -> None:
    file = ALL[way](tensors_of(lite0.published), random.Random(way))
    draft = draft_map(save(tmp_path / "unknown.pth", file), "lite0")
    judged = judge(draft, file, tensors_of(lite0.converted("canonical")))
    assert (judged.wrong, judged.lost) == ([], [])
    assert draft.is_complete == (way not in UNDECIDABLE | CONTRADICTED | UNORDERED)
    if way in UNORDERED:
        assert [question.where for question in draft.questions] == ["library.caution"]

"""A draft of a known layout's file, its names permuted or not: what is decided is right, what is not is said."""

import random
from pathlib import Path

import pytest

from effconvert.architecture.variants import VARIANTS
from effconvert.drafting.draft import draft_map
from effconvert.errors import BadMap
from effconvert.maps.layouts import known_layouts, parse_layout
from effconvert.maps.moves import compile_moves
from helpers.deep import deep_but
from helpers.library_files import Tensors, canonical_values, facts_of, library_tensors, save
from helpers.maps.judging import judge
from helpers.maps.permuted_files import INVISIBLE, WAYS

LAYOUTS = {layout.name: next(iter(layout.variants)) for layout in known_layouts()}
OTHERS = [
    ("timm", "edgetpu-s"), ("timm", "cc-b0-4e"), ("timm", "lite0"), ("tf-official", "edgetpu-s"), ("tf-official", "cc-b0-4e"),
    ("mmpretrain", "edgetpu-s"), ("lukemelas", "lite0"),
]  # fmt: skip
# Every way on one layout, and each other layout in one way.
PERMUTED = [("timm", way) for way in WAYS if way != "as it is"] + [
    (layout, way) for layout, way in zip([name for name in LAYOUTS if name != "timm"], [*WAYS][1:], strict=False)
]


def file_of(folder: Path, tensors: Tensors) -> Path:
    return save(folder / "unknown.pth", tensors)


@pytest.mark.parametrize(
    ("layout", "variant"), deep_but([*LAYOUTS.items(), *OTHERS], lambda case: case in LAYOUTS.items())
)
def test_a_file_of_a_known_layout_gives_a_map_that_converts_to_the_same_tensors(
    tmp_path: Path, layout: str, variant: str
) -> None:
    file, truth = library_tensors(layout, variant), canonical_values(variant, 2)
    draft = draft_map(file_of(tmp_path, file), variant)
    assert (draft.is_complete, draft.lists) == (True, ())
    drafted = parse_layout(draft.text.encode(), "drafted.toml")
    moves = compile_moves(drafted, VARIANTS[variant], facts_of(layout, variant, classes=2))
    assert {move.target for move in moves} == truth.keys()
    assert all(move.apply(file[move.source]).tobytes() == truth[move.target].tobytes() for move in moves)


@pytest.mark.parametrize(("layout", "way"), deep_but(PERMUTED, lambda case: case[0] == "timm"))
def test_what_is_decided_of_a_permuted_file_is_right_and_what_is_not_is_said(
    tmp_path: Path, layout: str, way: str
) -> None:
    variant = LAYOUTS[layout]
    file = WAYS[way](library_tensors(layout, variant), random.Random(way))
    draft = draft_map(file_of(tmp_path, file), variant)
    judged = judge(draft, file, canonical_values(variant, 2))
    assert (judged.wrong, judged.lost) == ([], [])
    if draft.is_complete:
        assert len(judged.right) == len(canonical_values(variant, 2))
    else:
        with pytest.raises(BadMap, match="is not decided"):
            parse_layout(draft.text.encode(), "drafted.toml")


@pytest.mark.parametrize("way", INVISIBLE)
def test_names_that_neither_order_nor_values_confirm_are_asked_about(tmp_path: Path, way: str) -> None:
    file = INVISIBLE[way](library_tensors("timm"), random.Random(way))
    draft = draft_map(file_of(tmp_path, file), "b0")
    (question,) = draft.questions
    assert question.where == "library.caution"
    assert "only names told which layer is which" in question.candidates[0]
    with pytest.raises(BadMap, match="library.caution: is not decided"):
        parse_layout(draft.text.encode(), "drafted.toml")


def test_the_order_of_a_file_tells_layers_whose_names_mean_nothing(tmp_path: Path) -> None:
    file = WAYS["meaningless names"](library_tensors("timm"), random.Random(0))
    draft = draft_map(file_of(tmp_path, file), "b0")
    norms = [target for target in draft.open if ".bn." not in target]
    assert norms == []  # nothing is open but which of a BatchNorm's vectors is which
    assert {target.rpartition(".")[2] for target in draft.open} == {"weight", "bias", "running_mean"}
    assert len(draft.questions) == 3


def test_names_against_the_order_leave_both_as_candidates(tmp_path: Path) -> None:
    tensors = library_tensors("timm")
    swapped = {
        "blocks.4.1.conv_pw.weight": "blocks.4.2.conv_pw.weight",
        "blocks.4.2.conv_pw.weight": "blocks.4.1.conv_pw.weight",
    }
    file = {swapped.get(name, name): tensor for name, tensor in tensors.items()}
    draft = draft_map(file_of(tmp_path, file), "b0")
    assert draft.open == {
        "blocks.9.expand.conv.weight": ("blocks.4.1.conv_pw.weight", "blocks.4.2.conv_pw.weight"),
        "blocks.10.expand.conv.weight": ("blocks.4.2.conv_pw.weight", "blocks.4.1.conv_pw.weight"),
    }
    assert "the order of the file contradicts the names in 2 layers" in draft.said


def test_names_that_call_a_negative_vector_a_variance_are_not_believed(tmp_path: Path) -> None:
    file = WAYS["names of equal shape, sorted"](library_tensors("timm"), random.Random(0))
    draft = draft_map(file_of(tmp_path, file), "b0")
    assert any("is called a variance and has negative values: no name is believed" in words for words in draft.said)

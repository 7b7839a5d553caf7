"""A draft of one variant holds for the library's others, where its names follow rules."""

from pathlib import Path

import pytest

from effconvert.architecture.variants import VARIANTS
from effconvert.drafting.draft import draft_map
from effconvert.maps.layouts import find_layout, parse_layout
from effconvert.maps.moves import compile_moves
from helpers.deep import deep_but
from helpers.library_files import library_tensors, save

CASES = [
    ("timm", "b0", "b3"), ("torchvision", "b0", "b7"), ("mindcv", "b0", "b3"), ("mindvision", "b0", "b5"),
    ("keras", "b0", "b3"), ("keras-positional", "b0", "b3"), ("mmpretrain", "b0", "l2"), ("huggingface", "b0", "b3"),
    ("lukemelas", "b0", "b8"), ("monai", "b0", "b4"), ("tf-official", "b0", "b3"), ("mindspore-zoo-b1", "b1", "b3"),
    ("tf-official", "cc-b0-4e", "cc-b1-8e"), ("timm", "edgetpu-s", "edgetpu-l"), ("lukemelas", "lite0", "lite4"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layout", "drafted", "other"), deep_but(CASES, lambda case: case[0] in ("timm", "tf-official", "keras-positional"))
)
def test_a_draft_of_one_variant_is_right_for_another(tmp_path: Path, layout: str, drafted: str, other: str) -> None:
    draft = draft_map(save(tmp_path / "unknown.pth", library_tensors(layout, drafted)), drafted)
    text = draft.text.replace(f'same = ["{drafted}"]', f'same = ["{drafted}", "{other}"]')
    moves = compile_moves(parse_layout(text.encode(), "drafted.toml"), VARIANTS[other], root="")
    known = compile_moves(find_layout(layout), VARIANTS[other], root="")
    assert [(move.source, move.steps, move.target) for move in moves] == [
        (move.source, move.steps, move.target) for move in known
    ]


def test_numbers_that_no_placeholder_gives_are_listed_and_said(tmp_path: Path) -> None:
    renamed = {}
    for name, tensor in library_tensors("lukemelas").items():
        _, dot, rest = name.partition("_blocks.")
        number, _, tail = rest.partition(".")
        renamed[f"_blocks.{int(number):02d}.{tail}" if dot else name] = tensor
    draft = draft_map(save(tmp_path / "unknown.pth", renamed), "b0")
    assert draft.is_complete
    assert {"expand_conv", "project_bn"} <= set(draft.lists)
    assert "they are of this variant only" in draft.text
    assert '    "_blocks.07._expand_conv",  # blocks.7.expand.conv' in draft.text


def test_the_order_of_tensors_in_a_layer_is_that_of_the_file(tmp_path: Path) -> None:
    draft = draft_map(save(tmp_path / "unknown.pth", library_tensors("mindvision")), "b0")
    assert (
        'bn = { moving_mean = "running_mean", moving_variance = "running_var", gamma = "weight", beta = "bias" }'
        in draft.text
    )

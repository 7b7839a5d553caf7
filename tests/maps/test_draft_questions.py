"""Questions of a draft are refused by the reader of maps until each has one answer."""

import random
import re
from pathlib import Path

import pytest

from effconvert.architecture.variants import VARIANTS
from effconvert.drafting.draft import draft_map
from effconvert.errors import BadMap
from effconvert.maps.layouts import parse_layout
from effconvert.maps.moves import compile_moves
from helpers.library_files import canonical_values, facts_of, library_tensors, save
from helpers.maps.permuted_files import WAYS

TEXT = (Path(__file__).parents[2] / "mappings" / "tf_official.toml").read_text()
OPEN = [
    ('separator = "/"', 'separator = ["/", "."]', "separator: is not decided: leave the right one of ['/', '.'], as a string"),
    ('conv = ["conv2d", "conv2d_{n}"]', 'conv = [["conv2d", "a"], "conv2d_{n}"]', "series.conv 1: is not decided"),
    ('dense     = "IO -> OI"', 'dense = ["IO -> OI", "OI -> OI"]', "axes.dense: is not decided"),
    ('gamma = "weight"', 'gamma = ["weight", "bias"]', "kinds.bn.gamma: is not decided: leave the right one of ['weight', 'bias'], as a string"),
    ('"stem/<conv>"]', '["stem/<conv>", "x"]]', "layers.stem row 1 source: is not decided"),
]  # fmt: skip


@pytest.mark.parametrize(("answered", "asked", "words"), OPEN, ids=[words for _, _, words in OPEN])
def test_a_list_in_place_of_a_string_is_refused_as_not_decided(answered: str, asked: str, words: str) -> None:
    assert answered in TEXT
    with pytest.raises(BadMap) as caught:
        parse_layout(TEXT.replace(answered, asked, 1).encode(), "my.toml")
    assert words in str(caught.value)


def test_one_edited_line_answers_what_the_words_of_a_batchnorm_do_not_tell(tmp_path: Path) -> None:
    file = WAYS["other words"](library_tensors("timm"), random.Random(0))
    draft = draft_map(save(tmp_path / "unknown.pth", file), "b0")
    asked = [line for line in draft.text.splitlines() if "QUESTION:" in line]
    assert len(asked) == 1
    (line,) = asked
    # The order of the file is PyTorch's: what stands first in each list is what it would be there.
    answered = re.sub(r'\[("[a-z_]+")[^]]*\]', r"\1", line)
    drafted = parse_layout(draft.text.replace(line, answered).encode(), "my.toml")
    moves = compile_moves(drafted, VARIANTS["b0"], facts_of("timm", "b0", classes=2))
    truth = canonical_values("b0", 2)
    assert all(move.apply(file[move.source]).tobytes() == truth[move.target].tobytes() for move in moves)


def test_a_name_that_may_be_one_of_two_has_a_line_with_the_layer_that_it_is_of(tmp_path: Path) -> None:
    tensors = library_tensors("timm")
    one, other = "blocks.4.1.conv_pw.weight", "blocks.4.2.conv_pw.weight"
    file = {{one: other, other: one}.get(name, name): tensor for name, tensor in tensors.items()}
    draft = draft_map(save(tmp_path / "unknown.pth", file), "b0")
    line = '    ["blocks.4.1.conv_pw", "blocks.4.2.conv_pw"],  # blocks.9.expand.conv, QUESTION: leave the right one'
    assert line in draft.text.splitlines()
    assert [question.where for question in draft.questions] == [
        "series.expand_conv, blocks.9.expand.conv",
        "series.expand_conv, blocks.10.expand.conv",
    ]


def test_facts_that_no_tensor_tells_are_marked_as_assumed(tmp_path: Path) -> None:
    draft = draft_map(save(tmp_path / "unknown.pth", library_tensors("timm", "edgetpu-s")), "edgetpu-s")
    assert draft.facts.keys() == {"bn_eps", "padding", "fused_stride"}
    assert "bn_eps = 1e-3  # assumed, as in TensorFlow's networks; many of PyTorch's have 1e-5" in draft.text

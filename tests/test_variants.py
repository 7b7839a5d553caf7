"""Variants, their blocks and their canonical tensors follow from the documented rules."""

import math

import pytest

from effconvert.architecture.canonical import default_facts, is_trainable, tensor_shapes
from effconvert.architecture.facts import Facts, changed, parse_assignments
from effconvert.architecture.variants import VARIANTS, blocks, find_variant, head_channels, stem_channels
from effconvert.errors import LayoutMismatch, UnknownName
from helpers import official_weights

# width, depth, resolution, stem, blocks, head, logits, trainable values: counted in the official graphs
GRAPHS = {
    "b0": (1.0, 1.0, 224, 32, 16, 1280, 1000, 5288548),
    "b1": (1.0, 1.1, 240, 32, 23, 1280, 1000, 7794184),
    "b2": (1.1, 1.2, 260, 32, 23, 1408, 1000, 9109994),
    "b3": (1.2, 1.4, 300, 40, 26, 1536, 1000, 12233232),
    "b4": (1.4, 1.8, 380, 48, 32, 1792, 1000, 19341616),
    "b5": (1.6, 2.2, 456, 48, 39, 2048, 1000, 30389784),
    "b6": (1.8, 2.6, 528, 56, 45, 2304, 1000, 43040704),
    "b7": (2.0, 3.1, 600, 64, 55, 2560, 1000, 66347960),
    "b8": (2.2, 3.6, 672, 72, 61, 2816, 1000, 87413142),
    "l2": (4.3, 5.3, 800, 136, 88, 5504, 1000, 480309308),
    "cc-b0-4e": (1.0, 1.0, 224, 32, 16, 1280, 1000, 13314116),
    "cc-b0-8e": (1.0, 1.0, 224, 32, 16, 1280, 1000, 24013284),
    "cc-b1-8e": (1.0, 1.1, 224, 32, 23, 1280, 1000, 39715968),
    "edgetpu-s": (1.0, 1.0, 224, 32, 18, 1280, 1001, 5439673),
    "edgetpu-m": (1.0, 1.1, 240, 32, 24, 1280, 1001, 6900777),
    "edgetpu-l": (1.2, 1.4, 300, 40, 27, 1536, 1001, 10591249),
    "lite0": (1.0, 1.0, 224, 32, 16, 1280, 1000, 4652008),
    "lite1": (1.0, 1.1, 240, 32, 21, 1280, 1000, 5416680),
    "lite2": (1.1, 1.2, 260, 32, 21, 1280, 1000, 6092072),
    "lite3": (1.2, 1.4, 280, 32, 24, 1280, 1000, 8197096),
    "lite4": (1.4, 1.8, 300, 32, 30, 1280, 1000, 13006568),
}


def test_there_are_the_21_official_variants() -> None:
    assert list(VARIANTS) == list(GRAPHS)
    assert len(official_weights.all_shapes()) == 21


@pytest.mark.parametrize("name", GRAPHS)
def test_numbers_equal_the_official_graphs(name: str) -> None:
    variant = VARIANTS[name]
    trainable = sum(math.prod(s) for tensor, s in tensor_shapes(variant).items() if is_trainable(tensor))
    found = (variant.width, variant.depth, variant.resolution, stem_channels(variant), len(blocks(variant)))
    assert (*found, head_channels(variant), variant.classes, trainable) == GRAPHS[name]


def test_the_first_block_of_edgetpu_expands_its_argument_not_its_input() -> None:
    assert [blocks(VARIANTS[name])[0].expanded_channels for name in ("edgetpu-s", "edgetpu-l")] == [96, 128]


def test_no_block_of_the_first_stage_of_edgetpu_is_residual() -> None:
    first_stage = [block for block in blocks(VARIANTS["edgetpu-m"]) if block.stage == 0]
    assert [block.residual for block in first_stage] == [False, False]


def test_groups_begin_at_each_strided_stage() -> None:
    assert [(b.group, b.member) for b in blocks(VARIANTS["b0"])] == [
        (0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (3, 3), (3, 4), (3, 5),
        (4, 0), (4, 1), (4, 2), (4, 3), (4, 4),
    ]  # fmt: skip


def test_a_variant_is_found_by_the_names_people_type() -> None:
    assert find_variant("EfficientNet-B0") is VARIANTS["b0"]
    assert find_variant("cc_b0_4e") is VARIANTS["cc-b0-4e"]


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(LayoutMismatch, match=r"'b9' is unknown; known are b0, b1"):
        find_variant("b9")


def test_a_headless_network_lacks_the_classifier_and_then_the_head() -> None:
    variant = VARIANTS["b0"]
    whole = tensor_shapes(variant)
    no_classifier = tensor_shapes(variant, Facts(classes=0))
    backbone = tensor_shapes(variant, Facts(classes=0, head_conv=False))
    assert whole.keys() - no_classifier.keys() == {"head.fc.weight", "head.fc.bias"}
    assert all(not name.startswith("head.") for name in backbone)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"padding": "same"}, "must be one of tf-same, symmetric"),
        ({"bn_eps": "0"}, "must lie between 0 and 1"),
        ({"bn_eps": "small"}, "bn_eps=small: must be a number"),
        ({"classes": "-1"}, "must be 0 or more"),
        ({"classes": True}, "must be a whole number"),
        ({"head_conv": "false"}, "needs the head's convolution"),
        ({"colour": "red"}, "colour unknown; known are bn_eps"),
    ],
)
def test_facts_that_no_network_can_have_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(UnknownName, match=words):
        changed(default_facts(VARIANTS["b0"]), change)


def test_facts_are_read_from_assignments() -> None:
    pairs = parse_assignments(["fused_stride=expand", "bn_eps = 1e-5"])
    assert changed(Facts(), pairs) == Facts(fused_stride="expand", bn_eps=1e-5)
    with pytest.raises(UnknownName, match="must read NAME=VALUE, e.g. fused_stride=project"):
        parse_assignments(["fused_stride"])

"""Moves: compiled from a map and a variant, inverted, composed."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from effconvert.architecture.canonical import default_facts, tensor_shapes
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import BadMap, LayoutMismatch
from effconvert.maps.axes import parse_axes
from effconvert.maps.language import Layout
from effconvert.maps.layouts import find_layout, known_layouts, parse_layout
from effconvert.maps.moves import (
    Move,
    Step,
    compile_layout,
    compile_moves,
    compose,
    dropping_background_class,
    identity_moves,
    invert,
)
from helpers import golden_moves, official_weights

LAYOUT = find_layout("tf-official")
ALL = [(layout.name, variant) for layout in known_layouts() for variant in layout.variants]
MAP = Path(__file__).parents[2] / "mappings" / "tf_official.toml"


def official_entry(variant: str) -> str:
    return f"efficientnet-{LAYOUT.variants[variant]}"


def edited(*replacements: tuple[str, str]) -> Layout:
    text = MAP.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return parse_layout(text.encode(), "edited.toml")


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_and_shapes_are_one_to_one_with_the_official_checkpoint(variant: str) -> None:
    moves = compile_moves(LAYOUT, VARIANTS[variant])
    official = official_weights.all_shapes()[official_entry(variant)]
    assert {move.source: move.source_shape for move in moves} == official
    assert {move.target: move.target_shape for move in moves} == tensor_shapes(VARIANTS[variant])
    assert len(moves) == len(official)


@pytest.mark.parametrize(("layout", "variant"), ALL)
def test_moves_are_the_golden_ones(layout: str, variant: str) -> None:
    stored = golden_moves.path_of(layout, variant).read_text().splitlines()
    assert golden_moves.lines(layout, variant) == stored


def test_no_golden_list_is_of_a_network_that_no_layout_has() -> None:
    stored = {(path.parent.name, path.stem) for path in golden_moves.GOLDEN.glob("*/*.txt")}
    assert stored == set(ALL)


@pytest.mark.parametrize(("layout", "variant"), ALL)
def test_moves_are_one_to_one_and_the_inverse_undoes_them(layout: str, variant: str) -> None:
    moves = compile_moves(find_layout(layout), VARIANTS[variant])
    assert len({move.source for move in moves}) == len({move.target for move in moves}) == len(moves) > 200
    assert invert(invert(moves)) == moves
    there_and_back = compose(moves, invert(moves))
    assert all(m.source == m.target and m.source_shape == m.target_shape and not m.steps for m in there_and_back)


@pytest.mark.parametrize(
    ("layout", "variant"), [case for case in ALL if case[1] in ("b0", "b1", "lite0", "cc-b0-4e", "edgetpu-s")]
)
def test_every_value_comes_back_bit_for_bit(layout: str, variant: str) -> None:
    moves = compile_moves(find_layout(layout), VARIANTS[variant])
    back = {move.target: move for move in invert(moves)}
    for move in moves:
        bits = np.arange(np.prod(move.source_shape, dtype=int), dtype=np.uint32).reshape(move.source_shape)
        assert np.array_equal(back[move.source].apply(move.apply(bits)), bits)


@pytest.mark.parametrize("entry", ["efficientnet-b0", "efficientnet-lite0"])
def test_the_map_agrees_with_a_mapping_written_by_hand(entry: str) -> None:
    values = official_weights.checkpoint(entry)
    expected = official_weights.canonical_weights(entry, average=False)
    moves = compile_moves(LAYOUT, VARIANTS[entry.removeprefix("efficientnet-")])
    assert {move.target for move in moves} == expected.keys()
    for move in moves:
        assert np.array_equal(move.apply(values[move.source]), expected[move.target]), move


def test_experts_are_unflattened_in_tensorflows_order() -> None:
    (move,) = [m for m in compile_moves(LAYOUT, VARIANTS["cc-b0-4e"]) if m.target == "blocks.8.depthwise.conv.weight"]
    flat = np.arange(4 * 12000).reshape(4, 12000)
    moved = move.apply(flat)
    experts, channel, row, column = 3, 7, 2, 4
    assert moved[experts, channel, 0, row, column] == flat[experts, (row * 5 + column) * 480 + channel]


def test_moves_have_as_many_sources_as_targets_as_the_official_checkpoint_has_tensors() -> None:
    moves = compile_moves(LAYOUT, VARIANTS["cc-b1-8e"])
    assert len({move.source for move in moves}) == len({move.target for move in moves}) == len(moves) == 461


@pytest.mark.parametrize("classes", [10, 0])
def test_any_number_of_classes_compiles(classes: int) -> None:
    facts = Facts(classes=classes)
    moves = compile_moves(LAYOUT, VARIANTS["b0"], facts)
    assert {move.target: move.target_shape for move in moves} == tensor_shapes(VARIANTS["b0"], facts)


def test_a_detection_backbone_compiles_without_a_head() -> None:
    facts = Facts(classes=0, head_conv=False)
    assert not [m for m in compile_moves(LAYOUT, VARIANTS["b0"], facts) if "head" in m.source + m.target]


def test_a_layout_says_which_variants_it_has() -> None:
    layout = edited(('same = ["b0", ', "same = ["))
    with pytest.raises(LayoutMismatch, match="does not cover b0; it covers b1"):
        compile_moves(layout, VARIANTS["b0"])


def test_composing_merges_permutations() -> None:
    first = [Move("a", "b", (2, 3, 4), (4, 2, 3), (Step((2, 3, 4), (2, 0, 1)),))]
    second = [Move("b", "c", (4, 2, 3), (3, 4, 2), (Step((4, 2, 3), (2, 0, 1)),))]
    (move,) = compose(first, second)
    assert move.steps == (Step((2, 3, 4), (1, 2, 0)),)
    array = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(move.apply(array), second[0].apply(first[0].apply(array)))


def test_composing_through_a_reshape_keeps_both_steps() -> None:
    first = [Move("a", "b", (2, 12), (4, 2, 3), (Step((2, 3, 4), (2, 0, 1)),))]
    second = [Move("b", "c", (4, 2, 3), (6, 4), (Step((4, 6), (1, 0)),))]
    (move,) = compose(first, second)
    array = np.arange(24).reshape(2, 12)
    assert np.array_equal(move.apply(array), second[0].apply(first[0].apply(array)))
    assert np.array_equal(invert([move])[0].apply(move.apply(array)), array)


def test_moves_that_do_not_meet_are_refused_with_every_reason() -> None:
    first = identity_moves({"a": (2,), "b": (3,), "unwanted": (1,)})
    second = identity_moves({"a": (2,), "b": (4,), "missing": (1,)})
    with pytest.raises(LayoutMismatch) as caught:
        compose(first, second)
    message = str(caught.value)
    assert "b <- b: given as (3,), wanted as (4,)" in message
    assert "missing <- missing: nothing gives it" in message
    assert "unwanted: nothing takes it" in message


def test_dropping_the_background_class_cannot_be_undone() -> None:
    variant = VARIANTS["edgetpu-s"]
    moves = dropping_background_class(identity_moves(tensor_shapes(variant)))
    shapes = {move.target: move.target_shape for move in moves}
    assert shapes == tensor_shapes(variant, dataclasses.replace(default_facts(variant), classes=1000))
    with pytest.raises(LayoutMismatch, match="values are dropped on the way"):
        invert(moves)


def test_the_first_class_is_the_one_that_is_dropped() -> None:
    (move,) = dropping_background_class(identity_moves({"head.fc.bias": (1001,)}))
    assert np.array_equal(move.apply(np.arange(1001)), np.arange(1, 1001))


@pytest.mark.parametrize(
    ("replacement", "words"),
    [
        (('["bn",             "bn",        "stem/<bn>"]]', '["norm", "bn", "stem/<bn>"]]'), "stem.norm.weight: the network has no such"),
        (('["project.bn",', '["expand.bn",'), "blocks.1.expand.bn.weight: filled twice"),
        (('bn   = ["tpu_batch_normalization", "tpu_batch_normalization_{n}"]', 'bn = ["tpu_batch_normalization"]'), "has 1 names, 'blocks_0/' draws one more"),
        (('"blocks_{index}/se/<conv>",        "se"],\n         ["se.expand",      "biased",    "blocks_{index}/se/<conv>"', '"blocks_{index}/se/one",        "se"],\n         ["se.expand",      "biased",    "blocks_{index}/se/one"'), "goes to both"),
        (('["routing",        "dense",     "blocks_{index}/dense",            "condconv"],', ""), "blocks.8.routing.weight: nothing fills it"),
        (('conv      = "HWIO -> OIHW"', 'conv = "HWI -> IHW"'), "3 axes, but the shape (32, 3, 3, 3) has 4"),
    ],
)  # fmt: skip
def test_a_map_that_does_not_fit_the_network_is_refused(replacement: tuple[str, str], words: str) -> None:
    with pytest.raises(BadMap) as caught:
        edited(replacement)
    assert words in str(caught.value)


def test_an_axis_of_size_one_may_be_written_as_1() -> None:
    layout = edited(('depthwise = "HWCM -> CMHW"', 'depthwise = "HWC -> C1HW"'))
    shapes = {move.target: move.source_shape for move in compile_moves(layout, VARIANTS["b0"])}
    assert shapes["blocks.0.depthwise.conv.weight"] == (3, 3, 32)


@pytest.mark.parametrize(
    ("text", "source_shape"),
    [("OI -> OI11", (8, 4)), ("1C11 -> C", (1, 8, 1, 1)), ("E(OIHW) -> EOIHW", (2, 8 * 4 * 9))],
)
def test_axes_of_size_one_and_flattened_axes_give_the_sources_shape(text: str, source_shape: tuple[int, ...]) -> None:
    axes = parse_axes(text)
    shapes = {1: (8,), 4: (8, 4, 1, 1), 5: (2, 8, 4, 3, 3)}
    assert axes.source_shape(axes.letter_sizes(shapes[len(axes.target)])) == source_shape


@pytest.mark.parametrize("text", ["OI", "OI -> IO -> OI", "OO -> O", "OI -> O", "oi -> io", "O( -> O", "() -> ()", " -> ", "OI -> (OI)", "O?I -> OI"])  # fmt: skip
def test_axes_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(BadMap):
        parse_axes(text)


def test_what_is_compiled_is_kept_for_the_same_layout_and_no_other() -> None:
    layout = find_layout("timm")
    kept = compile_layout(layout, VARIANTS["b0"])
    assert compile_layout(dataclasses.replace(layout), VARIANTS["b0"]) is kept
    other = dataclasses.replace(layout, separator="/")  # under the hash of the same file
    assert other.sha256 == layout.sha256
    assert compile_layout(other, VARIANTS["b0"]).moves[0].source == kept.moves[0].source.replace(".weight", "/weight")

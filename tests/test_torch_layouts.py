"""The layouts of PyTorch's libraries: names, shapes and order are those of the state_dicts that the libraries give.

tests/golden/torch_layouts.json.gz holds [name, shape] of every tensor in the order of the library's own state_dict, and
which tensor of each library timm's of B0 is, found by loading timm's weights into the others and comparing what they
compute.
"""

import gzip
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effconvert.architecture.canonical import default_facts, tensor_shapes
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import LayoutMismatch
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import Compiled, compile_layout, compose, invert

LIBRARIES = ("timm", "torchvision", "lukemelas", "huggingface", "mmpretrain")
CASES = [(library, variant) for library in LIBRARIES for variant in find_layout(library).variants]
COUNTER = "num_batches_tracked"
GOLDEN = Path(__file__).parent / "golden"


@cache
def golden() -> Any:
    return json.loads(gzip.decompress((GOLDEN / "torch_layouts.json.gz").read_bytes()))


def compiled(library: str, variant: str, **facts: object) -> Compiled:
    layout = find_layout(library)
    assumed = layout.facts_of(variant, replace(default_facts(VARIANTS[variant]), classes=1000))
    return compile_layout(layout, VARIANTS[variant], replace(assumed, **facts))  # type: ignore[arg-type]


def listed(found: Compiled) -> list[list[object]]:
    """Name and shape of everything that a file holds, in its order."""
    shapes = {move.source: list(move.source_shape) for move in found.moves}
    return [[name, shapes.get(name, [])] for name in found.order]


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_network_of_the_library_is_covered(library: str) -> None:
    assert find_layout(library).variants.keys() == golden()[library].keys()


@pytest.mark.parametrize(("library", "variant"), CASES)
def test_names_shapes_and_order_are_the_librarys(library: str, variant: str) -> None:
    assert listed(compiled(library, variant)) == golden()[library][variant]


@pytest.mark.parametrize(("library", "variant"), CASES)
def test_what_is_filled_are_the_counters_and_nothing_else(library: str, variant: str) -> None:
    found = compiled(library, variant)
    assert list(found.fills) == [name for name in found.order if name.endswith(COUNTER)]
    assert {(fill.dtype, fill.value, fill.shape) for fill in found.fills.values()} == {("int64", 0, ())}


@pytest.mark.parametrize(("library", "variant"), CASES)
def test_every_canonical_tensor_is_filled_once(library: str, variant: str) -> None:
    facts = replace(default_facts(VARIANTS[variant]), classes=1000)
    moves = compiled(library, variant).moves
    assert [(move.target, move.target_shape) for move in moves] == list(tensor_shapes(VARIANTS[variant], facts).items())


@pytest.mark.parametrize("library", ["torchvision", "lukemelas", "huggingface"])
def test_a_tensor_of_timm_goes_where_the_same_one_is(library: str) -> None:
    there = compose(compiled("timm", "b0").moves, invert(compiled(library, "b0").moves))
    expected = {ours: theirs for ours, theirs in golden()["timm_to_others"][library].items() if COUNTER not in ours}
    assert {move.source: move.target for move in there} == expected


@pytest.mark.parametrize("tensor", ["expand.conv", "depthwise.conv", "project.conv"])
def test_experts_are_flattened_in_pytorchs_order(tensor: str) -> None:
    (move,) = [m for m in compiled("timm", "cc-b0-4e").moves if m.target == f"blocks.9.{tensor}.weight"]
    flat = np.arange(np.prod(move.source_shape)).reshape(move.source_shape)
    assert np.array_equal(move.apply(flat).reshape(flat.shape), flat)
    assert move.apply(flat).shape == move.target_shape != flat.shape


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_network_without_a_classifier_lacks_only_that(library: str) -> None:
    whole = golden()[library]["b0"]
    classifier = [whole[-2][0], whole[-1][0]]
    assert listed(compiled(library, "b0", classes=0)) == [row for row in whole if row[0] not in classifier]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_network_without_a_head_ends_after_its_last_block(library: str) -> None:
    whole = golden()[library]["b0"]
    assert listed(compiled(library, "b0", classes=0, head_conv=False)) == whole[:-8]


@pytest.mark.parametrize(("library", "prefix"), [("huggingface", "efficientnet."), ("mmpretrain", "backbone.")])
def test_the_backbone_alone_lacks_its_prefix(library: str, prefix: str) -> None:
    layout, facts = find_layout(library), replace(default_facts(VARIANTS["b0"]), classes=0)
    bare = compile_layout(layout, VARIANTS["b0"], facts, bare=True)
    assert [prefix + name for name in bare.order] == list(compile_layout(layout, VARIANTS["b0"], facts).order)


def facts_of(library: str, variant: str) -> Facts:
    return find_layout(library).facts_of(variant, default_facts(VARIANTS[variant]))


@pytest.mark.parametrize(
    ("library", "variant", "bn_eps", "padding", "activation", "fused_stride"),
    [
        ("timm", "b0", 1e-3, "tf-same", "silu", "project"),
        ("timm", "edgetpu-s", 1e-3, "tf-same", "relu", "expand"),
        ("timm", "lite0", 1e-3, "tf-same", "relu6", "project"),
        ("torchvision", "b0", 1e-5, "symmetric", "silu", "project"),
        ("torchvision", "b4", 1e-5, "symmetric", "silu", "project"),
        ("torchvision", "b5", 1e-3, "symmetric", "silu", "project"),
        ("torchvision", "b7", 1e-3, "symmetric", "silu", "project"),
        ("lukemelas", "l2", 1e-3, "tf-same", "silu", "project"),
        ("huggingface", "b7", 1e-3, "tf-same", "silu", "project"),
        ("mmpretrain", "b8", 1e-3, "tf-same", "silu", "project"),
        ("mmpretrain", "edgetpu-m", 1e-3, "tf-same", "relu", "expand"),
    ],
)
def test_the_facts_are_those_of_the_librarys_network(
    library: str, variant: str, bn_eps: float, padding: str, activation: str, fused_stride: str
) -> None:
    found = facts_of(library, variant)
    assert (found.bn_eps, found.padding) == (bn_eps, padding)
    assert (found.activation, found.fused_stride) == (activation, fused_stride)


def test_mmpretrains_el_is_refused_with_the_reason() -> None:
    with pytest.raises(LayoutMismatch, match="120 channels in the first block where EfficientNet-EdgeTPU-L has 128"):
        compile_layout(find_layout("mmpretrain"), VARIANTS["edgetpu-l"])

"""The layout of Keras: names, shapes, dtypes and order are those of keras.applications.

tests/golden/keras_layout.json.gz holds [name, shape, dtype] of every weight of EfficientNetB0 to B7 in the order of the
model, from Keras 3.15.1.
"""

import gzip
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import effconvert
from effconvert.architecture.canonical import default_facts, tensor_shapes
from effconvert.architecture.variants import VARIANTS
from effconvert.formats.checkpoint import TensorInfo
from effconvert.formats.keras.writers import write_legacy
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import Compiled, compile_layout, invert
from helpers import golden_moves

LAYOUTS = ("keras", "keras-positional")
KERAS = find_layout("keras")
# The class of a layer, by the end of its name; a network's layers of one class are numbered in a `.weights.h5`.
CLASSES = {"dwconv": "depthwise_conv2d", "_bn": "batch_normalization", "predictions": "dense", "normalization": "normalization"}  # fmt: skip


@cache
def golden() -> Any:
    return json.loads(gzip.decompress((golden_moves.GOLDEN.parent / "keras_layout.json.gz").read_bytes()))


def compiled(variant: str, layout: str = "keras", **facts: object) -> Compiled:
    found = find_layout(layout)
    assumed = found.facts_of(variant, default_facts(VARIANTS[variant]))
    return compile_layout(found, VARIANTS[variant], replace(assumed, **facts))  # type: ignore[arg-type]


def listed(found: Compiled) -> list[list[object]]:
    """Name, shape and dtype of everything that a file holds, in its order."""
    shapes = {move.source: (list(move.source_shape), "float32") for move in found.moves}
    shapes |= {name: (list(fill.shape), fill.dtype) for name, fill in found.fills.items()}
    return [[name, *shapes[name]] for name in found.order]


def numbered(names: list[str]) -> dict[str, str]:
    """Return {name: the name by class and number} of weights in the model's order."""
    layers = dict.fromkeys(name.split("/")[0] for name in names)
    counts: dict[str, int] = {}
    result = {}
    for layer in layers:
        kind = next((kind for end, kind in CLASSES.items() if layer.endswith(end)), "conv2d")
        result[layer] = f"{kind}_{counts[kind]}" if kind in counts else kind
        counts[kind] = counts.get(kind, 0) + 1
    return {name: f"{result[name.split('/')[0]]}/{name.split('/')[1]}" for name in names}


def test_all_eight_networks_are_covered() -> None:
    assert KERAS.variants.keys() == golden().keys()


@pytest.mark.parametrize("variant", KERAS.variants)
def test_names_shapes_dtypes_and_order_are_those_of_keras(variant: str) -> None:
    assert listed(compiled(variant)) == golden()[variant]


@pytest.mark.parametrize("variant", KERAS.variants)
def test_positions_are_those_of_the_classes_in_the_models_order(variant: str) -> None:
    names = [name for name, _, _ in golden()[variant]]
    assert list(compiled(variant, "keras-positional").order) == list(numbered(names).values())


@pytest.mark.parametrize("variant", KERAS.variants)
def test_a_position_goes_where_the_name_does(variant: str) -> None:
    names = numbered([name for name, _, _ in golden()[variant]])
    by_name = [(names[move.source], move.target, move.steps) for move in compiled(variant).moves]
    assert [(m.source, m.target, m.steps) for m in compiled(variant, "keras-positional").moves] == by_name


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("variant", KERAS.variants)
def test_every_canonical_tensor_is_filled_once(variant: str, layout: str) -> None:
    moves = compiled(variant, layout).moves
    assert [(move.target, move.target_shape) for move in moves] == list(tensor_shapes(VARIANTS[variant]).items())


def test_a_network_without_a_classifier_lacks_only_that() -> None:
    assert listed(compiled("b0", classes=0)) == golden()["b0"][:-2]


@pytest.mark.parametrize("variant", ["b0", "b5"])
def test_the_facts_are_those_of_keras(variant: str) -> None:
    facts = KERAS.facts_of(variant, default_facts(VARIANTS[variant]))
    assert (facts.bn_eps, facts.padding, facts.activation) == (1e-3, "tf-same", "silu")


def test_kernels_are_permuted_as_keras_lays_them_out() -> None:
    moves = {move.target: move for move in compiled("b0").moves}
    kernel = np.arange(3 * 3 * 3 * 32).reshape(3, 3, 3, 32)  # height, width, in, out
    assert np.array_equal(moves["stem.conv.weight"].apply(kernel)[7, 2], kernel[:, :, 2, 7])
    depthwise = np.arange(5 * 5 * 144).reshape(5, 5, 144, 1)  # height, width, channel, multiplier
    assert np.array_equal(moves["blocks.3.depthwise.conv.weight"].apply(depthwise)[7, 0], depthwise[:, :, 7, 0])
    dense = np.arange(1280 * 1000).reshape(1280, 1000)
    assert np.array_equal(moves["head.fc.weight"].apply(dense), dense.T)


@pytest.mark.parametrize("layer", ["normalization", "normalization_1", "normalization_12"])
def test_the_normalization_of_a_sessions_later_network_is_left_behind(tmp_path: Path, layer: str) -> None:
    infos = [
        TensorInfo(name.replace("normalization/", f"{layer}/"), tuple(shape), np.dtype(dtype))
        for name, shape, dtype in golden()["b0"]
    ]
    with (tmp_path / "x.h5").open("w+b") as file:
        write_legacy(file, infos, (np.ones(info.shape, info.dtype) for info in infos), {}, dict)
    report = effconvert.convert(tmp_path / "x.h5", tmp_path / "x.pth")
    assert (report.layout, report.variant, report.moved) == ("keras", "b0", 311)
    assert report.left_behind == {"the network's own normalization": 3}


@pytest.mark.parametrize("layer", ["dense", "my_head"])
def test_a_classifier_of_any_name_is_the_classifier(tmp_path: Path, layer: str) -> None:
    infos = [
        TensorInfo(
            name.replace("predictions/", f"{layer}/"),
            (*shape[:-1], 5) if "pred" in name else tuple(shape),
            np.dtype(dtype),
        )
        for name, shape, dtype in golden()["b0"]
    ]
    with (tmp_path / "x.h5").open("w+b") as file:
        write_legacy(file, infos, (np.ones(info.shape, info.dtype) for info in infos), {}, dict)
    report = effconvert.convert(tmp_path / "x.h5", tmp_path / "x.pth")
    assert (report.layout, report.variant, report.moved, report.facts["classes"]) == ("keras", "b0", 311, 5)


def test_the_inverse_gives_every_value_back() -> None:
    for move, back in zip(compiled("b0").moves, invert(compiled("b0").moves), strict=True):
        values = np.arange(np.prod(move.source_shape, dtype=int)).reshape(move.source_shape)
        assert np.array_equal(back.apply(move.apply(values)), values)

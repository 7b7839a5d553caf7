"""Files of libraries that have no map here, names and shapes as the libraries' code has them."""

import random
from pathlib import Path

import numpy as np
import pytest

from effconvert.architecture.variants import VARIANTS, blocks
from effconvert.drafting.draft import draft_map
from effconvert.maps.layouts import parse_layout
from effconvert.maps.moves import compile_moves
from helpers.library_files import Tensors, canonical_values, save

NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def keras_efficientnet_v2(variant: str) -> Tensors:
    """What its EfficientNetV1B0 and others save (keras-efficientnet-v2 1.2.2, efficientnet_v2.py and efficientnet_v1.py)."""
    values = canonical_values(variant, 2)
    names = {"stem.conv": "stem_conv", "stem.bn": "stem_bn", "head.conv": "post_conv", "head.bn": "post_bn"}
    names |= {"head.fc": "predictions"}
    for block in blocks(VARIANTS[variant]):
        for role, own in {
            "expand.conv": "sortcut_conv",
            "expand.bn": "sortcut_bn",
            "depthwise.conv": "MB_dw_",
            "depthwise.bn": "MB_dw_bn",
            "se.reduce": "se_1_conv",
            "se.expand": "se_2_conv",
            "project.conv": "MB_pw_conv",
            "project.bn": "MB_pw_bn",
        }.items():
            names[f"blocks.{block.index}.{role}"] = f"stack_{block.stage}_block{block.repeat}_{own}"
    tensors = {}
    for target, value in values.items():
        layer, _, tensor = target.rpartition(".")
        if layer.endswith("bn"):
            own = next(key for key, role in NORM.items() if role == tensor)
        else:
            own = "bias" if tensor == "bias" else "depthwise_kernel" if "depthwise" in layer else "kernel"
        tensors[f"{names[layer]}/{own}"] = in_keras_axes(layer, value)
    return tensors


def in_keras_axes(layer: str, value: np.ndarray) -> np.ndarray:
    if value.ndim == 2:
        return value.T
    if value.ndim < 4:
        return value
    return value.transpose((2, 3, 0, 1) if "depthwise" in layer else (2, 3, 1, 0))


def in_flax_axes(layer: str, value: np.ndarray) -> np.ndarray:
    """As JAX's libraries have them: also a depthwise kernel is HWIO, with one input."""
    return value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T


@pytest.mark.parametrize("variant", ["b0", "b3"])
def test_keras_efficientnet_v2s_first_networks_are_drafted(tmp_path: Path, variant: str) -> None:
    file = keras_efficientnet_v2(variant)
    draft = draft_map(save(tmp_path / "unknown.pth", file), variant)
    assert (draft.is_complete, draft.lists) == (True, ())
    assert '["expand.bn",      "bn",        "stack_{stage}_block{repeat}_sortcut_bn", "expanded"]' in draft.text
    assert '["depthwise.conv", "depthwise", "stack_{stage}_block{repeat}_MB_dw_"]' in draft.text


def test_a_draft_of_its_b0_converts_its_b3(tmp_path: Path) -> None:
    draft = draft_map(save(tmp_path / "unknown.pth", keras_efficientnet_v2("b0")), "b0")
    drafted = parse_layout(draft.text.replace('same = ["b0"]', 'same = ["b3"]').encode(), "drafted.toml")
    file, truth = keras_efficientnet_v2("b3"), canonical_values("b3", 2)
    moves = [move for move in compile_moves(drafted, VARIANTS["b3"]) if not move.target.startswith("head.fc")]
    assert len(moves) == len(truth) - 2
    assert all(np.array_equal(move.apply(file[move.source]), truth[move.target]) for move in moves)


def test_axes_of_jax_and_layers_in_any_order_are_told(tmp_path: Path) -> None:
    values = list(canonical_values("b0", 2).items())
    random.Random(0).shuffle(values)
    file = {f"params/{name.replace('.', '/')}": in_flax_axes(name, value) for name, value in values}
    draft = draft_map(save(tmp_path / "unknown.pth", file), "b0")
    assert [question.where for question in draft.questions] == ["library.caution"]  # nothing but names tells layers
    assert {"HWIO -> OIHW", "HWMC -> CMHW", "IO -> OI"} <= set(draft.text.split('"'))
    truth = dict(values)
    assert all(np.array_equal(move.apply(file[move.source]), truth[target]) for target, move in draft.moves.items())

"""A network that is not known here is named by its tensors, whichever library wrote it, and never converted."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.formats import TensorInfo
from effconvert.formats.safetensors import write_safetensors
from effconvert.identify.other_networks import other_network
from effconvert.maps.layouts import find_layout, known_layouts
from effconvert.maps.moves import compile_layout
from helpers.deep import deep_but
from helpers.running import Ran

Shapes = Mapping[str, tuple[int, ...]]
# The blocks in each stage of EfficientNetV2, of which the first three have fused blocks.
V2 = {"B0": (1, 2, 2, 3, 5, 8), "S": (2, 4, 4, 6, 9, 15), "M": (3, 5, 5, 7, 14, 18, 5), "RW-T": (2, 4, 4, 6, 9, 14)}


@pytest.fixture
def refused(run: Callable[..., Ran], tmp_path: Path) -> Callable[[Shapes], str]:
    """Try to convert a file of tensors of these shapes; return the message."""

    def convert(shapes: Shapes) -> str:
        path = tmp_path / "x.safetensors"
        arrays = {name: np.ones(shape, np.float16) for name, shape in shapes.items()}
        with path.open("wb") as file:
            infos = [TensorInfo(name, array.shape, array.dtype) for name, array in arrays.items()]
            write_safetensors(file, infos, arrays.values(), {}, dict)
        ran = run("convert", path, "--to", "canonical", "--out", tmp_path / "out.safetensors")
        assert ran.exit_code == 4
        assert not (tmp_path / "out.safetensors").exists()
        return ran.err

    return convert


def timm_v2(stages: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"conv_stem.weight": (24, 3, 3, 3), "bn1.running_mean": (24,)}
    for stage, blocks in enumerate(stages):
        for block in range(blocks):
            name = f"blocks.{stage}.{block}"
            if stage == 0:
                shapes[f"{name}.conv.weight"] = (24, 24, 3, 3)
            elif stage < 3:
                shapes |= {f"{name}.conv_exp.weight": (96, 24, 3, 3), f"{name}.conv_pwl.weight": (24, 96, 1, 1)}
            else:
                shapes |= {f"{name}.conv_pw.weight": (96, 24, 1, 1), f"{name}.conv_dw.weight": (96, 1, 3, 3)}
            shapes[f"{name}.bn1.weight"] = (24,)
    return shapes | {"conv_head.weight": (64, 24, 1, 1), "classifier.weight": (5, 64), "classifier.bias": (5,)}


def blocks(stages: tuple[int, ...], name: str, first: int = 0) -> dict[str, tuple[int, ...]]:
    return {
        name.format(stage=stage + first, block=block, letter="abcdefghijklmnopqrstuvwxyz"[block]): (24,)
        for stage, count in enumerate(stages)
        for block in range(count)
    }


@pytest.mark.parametrize(("variant", "stages"), V2.items())
@pytest.mark.parametrize("prefix", deep_but(["", "module.", "state_dict/model."], lambda prefix: prefix == "module."))
def test_efficientnet_v2_of_timm_is_named(
    refused: Callable[[Shapes], str], variant: str, stages: tuple[int, ...], prefix: str
) -> None:
    message = refused({prefix + name: shape for name, shape in timm_v2(stages).items()})
    assert f": EfficientNetV2-{variant} by its fused blocks (" in message
    assert "blocks.0.0.conv.weight), which is not supported yet" in message


S = V2["S"]
OTHER_V2: dict[str, Shapes] = {
    "torchvision": {"features.0.0.weight": (24, 3, 3, 3), "features.1.0.block.0.0.weight": (24, 24, 3, 3), "features.2.0.block.1.0.weight": (48, 96, 1, 1)} | blocks(S, "features.{stage}.{block}.block.0.1.bias", 1),
    "Keras": {"stem_conv/kernel": (3, 3, 3, 24), "block1a_project_conv/kernel": (3, 3, 24, 24)} | blocks(S, "block{stage}{letter}_project_bn/beta", 1),
    "mmpretrain": {"backbone.layers.0.conv.weight": (24, 3, 3, 3), "backbone.layers.1.0.conv.weight": (24, 24, 3, 3), "backbone.layers.2.0.conv1.conv.weight": (96, 24, 3, 3)} | blocks(S, "backbone.layers.{stage}.{block}.x.bias", 1),
    "MindCV": {"features.0.weight": (24, 3, 3, 3), "features.3.0.block.0.weight": (24, 24, 3, 3), "features.4.0.block.3.weight": (48, 96, 1, 1)} | blocks(S, "features.{stage}.{block}.block.1.beta", 3),
    "automl": {"efficientnetv2-s/stem/conv2d/kernel": (3, 3, 3, 24), "efficientnetv2-s/blocks_0/conv2d/kernel/ExponentialMovingAverage": (3, 3, 24, 24)} | {f"efficientnetv2-s/blocks_{n}/x/beta": (24,) for n in range(40)},
    "automl's objects": {"_blocks/0/_project_conv/kernel/.ATTRIBUTES/VARIABLE_VALUE": (3, 3, 24, 24)} | {f"_blocks/{n}/_norm1/beta/.ATTRIBUTES/VARIABLE_VALUE": (24,) for n in range(40)},
    "keras_efficientnet_v2": {"stem_conv/kernel": (3, 3, 3, 24), "stack_0_block0_fu_conv/kernel": (3, 3, 24, 24)} | blocks(S, "stack_{stage}_block{block}_x/beta"),
}  # fmt: skip


@pytest.mark.parametrize("library", OTHER_V2)
def test_efficientnet_v2_of_another_library_is_named(refused: Callable[[Shapes], str], library: str) -> None:
    assert "EfficientNetV2-S by its fused blocks (" in refused(OTHER_V2[library])


FAMILIES: dict[str, Shapes] = {
    "EfficientNetV2-RW": {"conv_stem.weight": (24, 3, 3, 3), "blocks.0.0.conv_exp.weight": (24, 24, 3, 3)},
    "MixNet": {"conv_stem.weight": (16, 3, 3, 3), "blocks.1.0.conv_pw.0.weight": (48, 8, 1, 1)},
    "MobileNetV3 or one of its kin": {"conv_stem.weight": (16, 3, 3, 3), "blocks.0.0.bn1.running_mean": (16,), "conv_head.bias": (1280,)},
    "MobileNetV2": {"features.0.0.weight": (32, 3, 3, 3), "features.1.conv.0.0.weight": (32, 1, 3, 3)},
    "MobileNetV3": {"features.0.0.weight": (16, 3, 3, 3), "features.1.block.0.0.weight": (16, 1, 3, 3)},
    "GhostNet": {"conv_stem.weight": (16, 3, 3, 3), "blocks.0.0.ghost1.primary_conv.0.weight": (8, 16, 1, 1)},
    "ResNet": {"conv1.weight": (64, 3, 7, 7), "layer1.0.conv1.weight": (64, 64, 3, 3)},
    "Vision Transformer": {"blocks.0.attn.qkv.weight": (576, 192)},
    "Swin Transformer": {"layers.0.blocks.0.attn.qkv.weight": (288, 96)},
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_another_family_is_named(refused: Callable[[Shapes], str], family: str) -> None:
    assert f": {family} by its tensors (" in refused(FAMILIES[family])


def shapes_of(layout: str, variant: str) -> dict[str, tuple[int, ...]]:
    known = find_layout(layout)
    facts = known.facts_of(variant, default_facts(VARIANTS[variant]))
    compiled = compile_layout(known, VARIANTS[variant], facts, root="", bare=False)
    return {move.source: move.source_shape for move in compiled.moves}


@pytest.mark.parametrize("layout", ["timm", "torchvision", "lukemelas"])
def test_a_pruned_network_is_named_with_the_one_that_it_was(refused: Callable[[Shapes], str], layout: str) -> None:
    shapes = {
        name: tuple(size - size // 4 if size > 64 and number == 0 else size for number, size in enumerate(shape))
        for name, shape in shapes_of(layout, "b1").items()
    }
    message = refused(shapes)
    assert f"it has the names of {layout}'s b1" in message
    assert "tensors have other shapes" in message
    assert "a pruned network, or one with other widths, which is not supported yet" in message


def test_a_network_of_known_names_and_unknown_structure_says_whose_names_they_are(
    refused: Callable[[Shapes], str],
) -> None:
    shapes = {
        name: tuple(size + 2 for size in shape)
        for name, shape in shapes_of("timm", "b0").items()
        if "blocks.5" not in name
    }
    shapes["blocks.7.0.surprise.weight"] = (3,)
    message = refused(shapes)
    assert "its names are those of timm, but its network is not a known one (`effconvert list`)" in message
    assert "and 1 are unknown" in message


def test_no_network_that_is_known_is_taken_for_another() -> None:
    for layout in known_layouts():
        for variant in layout.variants:
            shapes = shapes_of(layout.name, variant)
            assert other_network(shapes) == "", (layout.name, variant)


def test_a_network_beside_another_family_is_still_read(run: Callable[..., Ran], tmp_path: Path, b0: Path) -> None:
    assert run("convert", b0, "--to", "timm", "--out", tmp_path / "b0.safetensors").exit_code == 0
    import torch
    from safetensors.torch import load_file

    student = {f"student.{name}": tensor for name, tensor in load_file(tmp_path / "b0.safetensors").items()}
    teacher = {"teacher.layer1.0.conv1.weight": torch.ones(64, 64, 3, 3)}
    torch.save({**student, **teacher}, tmp_path / "both.pth")
    assert "b0" in run("inspect", tmp_path / "both.pth").out

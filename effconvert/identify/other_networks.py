"""Other networks, recognised by tensors that only they have: a table of signs.

Sources: the state dicts of timm 1.0, torchvision 0.28, keras.applications 3, mmpretrain 1.2, MindCV 0.3,
google/automl's efficientnetv2 and keras_efficientnet_v2.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from effconvert.formats.checkpoint import Shape
from effconvert.identify.candidates import Reading, candidate_readings
from effconvert.identify.tensor_names import TensorNames
from effconvert.options import Options

# EfficientNetV2's variants by their number of blocks (google/automl, effnetv2_configs.py; timm's rw_ variants).
_V2_BLOCKS = {21: "B0", 27: "B1", 28: "B2", 32: "B3", 39: "RW-T", 40: "S", 57: "M", 60: "RW-M", 79: "L", 100: "XL"}
_V2 = "EfficientNetV2"


@dataclass(frozen=True)
class Sign:
    """The sign of a network: a tensor with a name that ends with the pattern `tensor`, and with the shape `shape`.

    shape: 0 for any length, -1 for any except 1, which a depthwise kernel has; () if the shape does not matter. also:
    another tensor that must exist. blocks: the part of a name with the number of the block, if this tells the variant.
    """

    network: str
    tensor: str
    shape: tuple[int, ...] = ()
    also: str = ""
    blocks: str = ""


_CONV3 = (0, -1, 3, 3)  # PyTorch's order
_CONV3_LAST = (3, 3, 0, 0)  # TensorFlow's
_SIGNS = (
    Sign("EfficientNetV2 with attention to the global context", r"blocks\.4\.0\.se\.conv_attn\..+"),
    Sign("EfficientNetV2-RW", r"blocks\.0\.0\.conv_exp\.weight", (24, 24, 3, 3)),
    Sign("EfficientNetV2-RW", r"blocks\.0\.0\.conv_exp\.weight", (32, 32, 3, 3)),
    Sign(_V2, r"blocks\.0\.0\.conv\.weight", _CONV3, r"blocks\.1\.0\.conv_exp\.weight", r"blocks\.(\d+\.\d+)\."),
    Sign(_V2, r"features\.1\.0\.block\.0\.0\.weight", _CONV3, r"features\.2\.0\.block\.1\.0\.weight",
         r"features\.(\d+\.\d+)\.block\."),
    Sign(_V2, r"block1a_project_conv/kernel", _CONV3_LAST, "", r"block(\d[a-z]+)_"),
    Sign(_V2, r"layers\.1\.0\.conv\.weight", _CONV3, r"layers\.2\.0\.conv1\.conv\.weight", r"layers\.(\d+\.\d+)\."),
    Sign(_V2, r"features\.3\.0\.block\.0\.weight", _CONV3, r"features\.4\.0\.block\.3\.weight",
         r"features\.(\d+\.\d+)\.block\."),
    Sign(_V2, r"(?:efficientnetv2-[a-z0-9]+|eff_net_v2_model)/blocks_0/conv2d(?:_1)?/kernel", (), "", r"blocks_(\d+)/"),
    Sign(_V2, r"_blocks/0/_project_conv/kernel/\.ATTRIBUTES/VARIABLE_VALUE", _CONV3_LAST, "", r"_blocks/(\d+)/"),
    Sign(_V2, r"stack_0_block0_fu_conv/kernel", (), "", r"(stack_\d+_block\d+)_"),
    Sign("EfficientNet-X or -H", r"blocks\.0\.0\.conv_s2d\.weight"),
    Sign("MixNet", r"blocks\.\d+\.\d+\.conv_(?:pw|dw|pwl)\.0\.weight"),
    Sign("GhostNet", r"blocks\.0\.0\.ghost1\.primary_conv\.0\.weight"),
    Sign("MobileNetV4", r"blocks\.\d+\.\d+\.(?:dw_start|dw_mid|pw_exp)\.conv\.weight"),
    Sign("MobileNet-EdgeTPU", r"blocks\.0\.0\.conv\.weight", (0, 0, 1, 1)),
    Sign("MobileNetV3 or one of its kin", r"conv_head\.bias", (), r"blocks\.0\.0\.bn1\.running_mean"),
    Sign("MobileNetV2", r"blocks\.2\.0\.conv_dw\.weight", (144, 1, 3, 3)),
    Sign("MobileNetV2", r"features\.1\.conv\.0\.0\.weight"),
    Sign("MobileNetV3", r"features\.0\.0\.weight", (16, 0, 3, 3), r"features\.1\.block\.0\.0\.weight"),
    Sign("MnasNet", r"layers\.8\.0\.layers\.0\.weight"),
    Sign("ReXNet", r"features\.1\.conv_exp\.conv\.weight"),
    Sign("MobileNetV2 or V3", r"expanded_conv_(?:depthwise|project)/(?:depthwise_)?kernel"),
    Sign("ResNet", r"layer1\.0\.conv1\.weight|conv2_block1_1_conv/kernel"),
    Sign("RegNet", r"trunk_output\.block1\.block1-0\..+|s1\.b1\.conv1\.conv\.weight"),
    Sign("DenseNet", r"features\.denseblock1\..+|conv2_block1_0_bn/gamma"),
    Sign("Inception", r"Mixed_5b\..+|mixed0/.+"),
    Sign("ConvNeXt", r"stages\.0\.blocks\.0\.conv_dw\.weight|features\.1\.0\.layer_scale"),
    Sign("Swin Transformer", r"layers\.0\.blocks\.0\.attn\.(?:qkv|proj)\.weight"),
    Sign("Vision Transformer", r"blocks\.0\.attn\.qkv\.weight|encoder\.layers\.encoder_layer_0\.ln_1\.weight"),
    Sign("VGG", r"block1_conv1/kernel|features\.(?:28|34|40)\.weight", (), ""),
    Sign("YOLO", r"model\.0\.conv\.weight", (), r"model\.\d\d\..+"),
)  # fmt: skip


def other_network(shapes: Mapping[str, Shape]) -> str:
    """Return the name of an unsupported network with tensors of these names and shapes; else ""."""
    for sign in _SIGNS:
        found = _first(shapes, sign.tensor, sign.shape)
        if found and (not sign.also or _first(shapes, sign.also, ())):
            return f"{_full_name(sign, shapes)} ({found}), which is not supported yet"
    return ""


def _full_name(sign: Sign, names: Iterable[str]) -> str:
    """Return the network's name, with its variant if the number of blocks tells it."""
    if not sign.blocks:
        return f"{sign.network} by its tensors"
    blocks = {match[1] for name in names if (match := re.search(rf"(?:^|[./]){sign.blocks}", name))}
    variant = _V2_BLOCKS.get(len(blocks))
    return f"{sign.network}{f'-{variant}' if variant else ''} by its fused blocks"


def _first(shapes: Mapping[str, Shape], pattern: str, wanted: tuple[int, ...]) -> str:
    ends = re.compile(rf"(?:.*[./])?(?:{pattern})(?:/ExponentialMovingAverage)?")
    return next((name for name, shape in shapes.items() if ends.fullmatch(name) and _fits(shape, wanted)), "")


def _fits(shape: Shape, wanted: Shape) -> bool:
    if not wanted or len(shape) != len(wanted):
        return not wanted
    return all(length in (0, found) or (length < 0 and found != 1) for found, length in zip(shape, wanted, strict=True))


def near_network(names: TensorNames, options: Options) -> str:
    """Return a sentence on the layout with the names of a file, if no variant has its shapes; "" if there is none."""
    found = [
        (reading, *_differences(names, reading)) for reading in candidate_readings(names, options) if reading.layout
    ]
    if not found:
        return ""
    reading, lacking, differing = min(found, key=lambda each: (len(each[1]) + len(each[0].unknown), len(each[2])))
    if 2 * len(lacking) > len(reading.moves):  # a few names that other layouts have too
        return ""
    layout, variant, total = reading.layout, reading.variant.name, len(reading.moves)
    assert layout is not None
    shown = f" ({differing[0]})" if differing else ""
    if not lacking and not reading.unknown:
        return (
            f"it has the names of {layout.name}'s {variant}, but {len(differing):,} of {total:,} tensors have other "
            f"shapes{shown}: a pruned network, or one with other widths, which is not supported yet"
        )
    return (
        f"its names are those of {layout.name}, but its network is not a known one (`effconvert list`): of the "
        f"nearest, {variant}, {len(lacking):,} of {total:,} tensors are missing, {len(differing):,} have other "
        f"shapes{shown}, and {len(reading.unknown):,} are unknown"
    )


def _differences(names: TensorNames, reading: Reading) -> tuple[list[str], list[str]]:
    """Return the tensors that a reading lacks, and in words those with another shape."""
    held = {base: file for bases in reading.scope.sets.names.values() for base, file in bases.items()}
    lacking, differing = [], []
    for move in reading.moves:
        if move.source not in held:
            lacking.append(move.source)
        elif (shape := names.stored[held[move.source]]) != move.source_shape:
            differing.append(f"{held[move.source]} has {shape}, expected {move.source_shape}")
    return lacking, differing

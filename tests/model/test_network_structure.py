"""The network of a variant has the canonical tensors and the published sizes."""

import copy

import pytest
import torch
from torch import nn

from effconvert.architecture.canonical import default_facts, is_trainable, tensor_shapes
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import LayoutMismatch
from effconvert.model import EfficientNet, create_model

# Trainable parameters and sizes of the endpoints reduction_1..5 at the native resolution, counted in the graphs that
# the official code builds (tensorflow/tpu, models/official/efficientnet, with TensorFlow 1.15).
PUBLISHED = {
    "b0": (5288548, (112, 56, 28, 14, 7)),
    "b1": (7794184, (120, 60, 30, 15, 8)),
    "b2": (9109994, (130, 65, 33, 17, 9)),
    "b3": (12233232, (150, 75, 38, 19, 10)),
    "b4": (19341616, (190, 95, 48, 24, 12)),
    "b5": (30389784, (228, 114, 57, 29, 15)),
    "b6": (43040704, (264, 132, 66, 33, 17)),
    "b7": (66347960, (300, 150, 75, 38, 19)),
    "b8": (87413142, (336, 168, 84, 42, 21)),
    "l2": (480309308, (400, 200, 100, 50, 25)),
    "cc-b0-4e": (13314116, (112, 56, 28, 14, 7)),
    "cc-b0-8e": (24013284, (112, 56, 28, 14, 7)),
    "cc-b1-8e": (39715968, (112, 56, 28, 14, 7)),
    "edgetpu-s": (5439673, (112, 56, 28, 14, 7)),
    "edgetpu-m": (6900777, (120, 60, 30, 15, 8)),
    "edgetpu-l": (10591249, (150, 75, 38, 19, 10)),
    "lite0": (4652008, (112, 56, 28, 14, 7)),
    "lite1": (5416680, (120, 60, 30, 15, 8)),
    "lite2": (6092072, (130, 65, 33, 17, 9)),
    "lite3": (8197096, (140, 70, 35, 18, 9)),
    "lite4": (13006568, (150, 75, 38, 19, 10)),
}


def on_meta(variant: str, **fact_changes) -> EfficientNet:
    with torch.device("meta"):
        return create_model(variant, **fact_changes)


def shapes_of(network: EfficientNet) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def test_the_table_covers_every_variant():
    assert set(PUBLISHED) == set(VARIANTS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_state_is_exactly_the_canonical_tensors(variant):
    assert shapes_of(on_meta(variant)) == tensor_shapes(VARIANTS[variant])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_parameters_are_as_many_as_published(variant):
    assert sum(parameter.numel() for parameter in on_meta(variant).parameters()) == PUBLISHED[variant][0]


@pytest.mark.parametrize("variant", ["b0", "cc-b0-4e", "edgetpu-s"])
def test_what_is_trainable_is_what_the_canonical_names_say(variant):
    network = on_meta(variant)
    parameters = {name for name, _ in network.named_parameters()}
    assert parameters == {name for name in network.state_dict() if is_trainable(name)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_features_have_the_sizes_of_tensorflows_reductions(variant):
    resolution = VARIANTS[variant].resolution
    images = torch.empty(1, 3, resolution, resolution, device="meta")
    maps = on_meta(variant).extract_features(images)
    assert tuple(features.shape[2] for features in maps) == PUBLISHED[variant][1]
    assert tuple(features.shape[3] for features in maps) == PUBLISHED[variant][1]


def test_features_are_the_outputs_before_the_next_stride():
    network = create_model("b0")
    outputs = []
    for block in network.blocks:
        block.register_forward_hook(lambda _block, _inputs, output: outputs.append(output))
    with torch.no_grad():
        maps = network.extract_features(torch.randn(1, 3, 64, 64))
    assert [next(i for i, output in enumerate(outputs) if output is features) for features in maps] == [
        0,
        2,
        4,
        10,
        15,
    ]


def test_features_come_in_the_order_of_the_levels_and_no_later_block_runs():
    network = create_model("b0")
    network.blocks[5].register_forward_hook(lambda *_: pytest.fail("block 5 was computed"))
    with torch.no_grad():
        maps = network.extract_features(torch.randn(1, 3, 64, 64), levels=(3, 1))
    assert [features.shape[2] for features in maps] == [8, 32]


@pytest.mark.parametrize("level", [0, 6, -1])
def test_an_unknown_level_is_refused_with_the_known_ones(level):
    with pytest.raises(ValueError, match=r"b0 has the levels 1, 2, 3, 4, 5"):
        on_meta("b0").extract_features(torch.empty(1, 3, 64, 64, device="meta"), levels=(2, level))


def test_any_number_of_classes():
    network = create_model("b0", classes=10)
    assert shapes_of(network) == tensor_shapes(VARIANTS["b0"], Facts(classes=10))
    assert network(torch.randn(2, 3, 64, 64)).shape == (2, 10)


def test_without_classifier_the_result_is_the_pooled_head():
    network = create_model("b0", classes=0)
    images = torch.randn(2, 3, 64, 64)
    assert shapes_of(network) == tensor_shapes(VARIANTS["b0"], Facts(classes=0))
    assert torch.equal(network(images), network.forward_features(images).mean((2, 3)))


def test_without_head_the_result_is_the_pooled_last_block():
    network = create_model("b0", classes=0, head_conv=False)
    images = torch.randn(2, 3, 64, 64)
    assert shapes_of(network) == tensor_shapes(VARIANTS["b0"], Facts(classes=0, head_conv=False))
    assert torch.equal(network.forward_features(images), network.extract_features(images)[-1])
    assert torch.equal(network(images), network.forward_features(images).mean((2, 3)))


def test_facts_that_are_given_are_the_ones_that_are_changed():
    network = create_model(VARIANTS["b0"], Facts(bn_eps=1e-5, classes=7), padding="symmetric")
    assert network.facts == Facts(bn_eps=1e-5, classes=7, padding="symmetric")
    assert {module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-5}


def test_the_default_facts_are_the_official_ones():
    assert on_meta("edgetpu-s").facts == default_facts(VARIANTS["edgetpu-s"])


@pytest.mark.parametrize(
    ("variant", "changes"), [("b9", {}), ("b0", {"paddings": "symmetric"}), ("b0", {"head_conv": False})]
)
def test_what_is_unknown_or_impossible_is_a_layout_mismatch(variant, changes):
    with pytest.raises(LayoutMismatch):
        create_model(variant, **changes)


def test_the_activation_is_that_of_the_facts_everywhere():
    network = on_meta("b0", activation="relu6")
    kinds = {type(module) for module in network.modules() if isinstance(module, nn.SiLU | nn.ReLU | nn.ReLU6)}
    assert kinds == {nn.ReLU6}


def test_a_new_model_is_in_eval_mode():
    assert not any(module.training for module in on_meta("b0").modules())


def test_a_plain_dict_loads_strictly():
    network = create_model("lite0")
    plain = {name: torch.full_like(tensor, 0.25) for name, tensor in network.state_dict().items()}
    network.load_state_dict(dict(plain), strict=True)
    assert all(torch.equal(tensor, plain[name]) for name, tensor in network.state_dict().items())


def test_a_missing_tensor_is_still_missed():
    network = create_model("lite0")
    state = dict(network.state_dict())
    del state["blocks.3.expand.bn.running_var"]
    with pytest.raises(RuntimeError, match=r"blocks\.3\.expand\.bn\.running_var"):
        network.load_state_dict(state, strict=True)


def test_weights_assigned_to_a_meta_network_leave_nothing_on_meta():
    network = on_meta("lite0")
    network.load_state_dict(dict(create_model("lite0").state_dict()), assign=True)
    copy.deepcopy(network).to(torch.float64)
    assert not any(tensor.is_meta for tensor in [*network.parameters(), *network.buffers()])


def test_initial_kernels_have_the_official_spread():
    torch.manual_seed(0)
    network = create_model("b0")
    # 2 / fan_out: 1x1 of 1152 outputs, a depthwise 5x5, and the classifier's uniform values within 1 / sqrt(1000)
    assert network.blocks[12].expand.conv.weight.std().item() == pytest.approx((2 / 1152) ** 0.5, rel=0.02)
    assert network.blocks[12].depthwise.conv.weight.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.02)
    assert network.head.fc.weight.abs().max().item() == pytest.approx(1000**-0.5, rel=0.001)
    assert not network.head.fc.bias.any()

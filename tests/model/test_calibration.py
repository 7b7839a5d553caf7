"""A generated test network sees its images, and every one of its tensors matters."""

import math

import pytest
import torch
from torch import nn

from effconvert.model import create_model
from effconvert.model.calibration import calibrate, random_weights, sensitivity, synthetic_images
from helpers.deep import deep_but


def naive_weights(network):
    """What one would write first: kernels N(0, 1 / fan_in), BatchNorm around one and zero, statistics likewise."""
    for name, tensor in network.state_dict().items():
        if name.endswith(("bn.weight", "running_var")):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("bias", "running_mean")):
            tensor.normal_(0, 0.1)
        else:
            tensor.normal_(0, 1 / math.sqrt(tensor[0].numel()))
    return network


@torch.no_grad()
def test_a_naively_random_network_is_blind():
    logits = naive_weights(create_model("b0"))(synthetic_images(2, 96, 96, seed=1))
    assert logits.std() > 0.01
    assert sensitivity(logits) < 1e-3


@torch.no_grad()
@pytest.mark.parametrize(
    "variant", deep_but(["b0", "lite0", "edgetpu-s", "cc-b0-4e", "b7"], lambda variant: variant != "b7")
)
def test_a_calibrated_network_sees_images_that_it_was_not_calibrated_on(variant):
    network = calibrate(random_weights(create_model(variant)), synthetic_images(8, 96, 96))
    assert sensitivity(network(synthetic_images(2, 96, 96, seed=1))) > 0.2


@torch.no_grad()
@pytest.mark.parametrize("variant", deep_but(["b0", "lite0", "edgetpu-s", "cc-b0-4e"], lambda variant: variant == "b0"))
def test_an_error_in_any_tensor_shows_in_the_logits(variant):  # a sample of the tensors, for time
    network = calibrate(random_weights(create_model(variant)), synthetic_images(8, 64, 64))
    images = synthetic_images(2, 64, 64, seed=1)
    expected = network(images)
    unseen = []
    for name, tensor in list(network.state_dict().items())[:: 2 if variant == "b0" else 5]:
        original = tensor.clone()
        square = tensor.ndim >= 4 and tensor.shape[-1] > 1
        tensor.copy_(original.transpose(-1, -2) if square else original.flatten().roll(1).view_as(original))
        if (network(images) - expected).abs().max() < 1e-3 * expected.abs().max():
            unseen.append(name)
        tensor.copy_(original)
    assert unseen == []


@torch.no_grad()
def test_calibration_leaves_every_normalised_layer_near_unit_scale():
    network = random_weights(create_model("b0"))
    calibrate(network, synthetic_images(8, 64, 64))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(
                lambda bn, _inputs, output: scales.append(
                    float((output - bn.bias[:, None, None]).std() / bn.weight.mean())
                )
            )
    scales: list[float] = []
    network(synthetic_images(8, 64, 64))
    assert len(scales) == 49
    assert all(0.7 < scale < 1.6 for scale in scales)


def test_calibrated_statistics_are_not_exactly_those_of_the_images():
    network = random_weights(create_model("lite0"))
    images = synthetic_images(8, 64, 64)
    calibrate(network, images)
    batch = network.stem.conv(images).detach()
    shift = (network.stem.bn.running_mean - batch.mean((0, 2, 3))) / batch.std((0, 2, 3))
    ratio = network.stem.bn.running_var / batch.var((0, 2, 3))
    assert 0.05 < shift.std() < 0.2
    assert 0.49 < ratio.min() < 0.8 < 1.2 < ratio.max() < 1.51


def test_calibration_changes_nothing_but_the_statistics():
    network = random_weights(create_model("lite0")).train()
    network.stem.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    calibrate(network, synthetic_images(2, 64, 64))
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if name.endswith(("running_mean", "running_var"))}
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_a_seed_always_gives_the_same_network():
    first, again, other = (
        calibrate(random_weights(create_model("lite0"), seed), synthetic_images(2, 64, 64), seed=seed).state_dict()
        for seed in (3, 3, 4)
    )
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert not any(torch.equal(tensor, other[name]) for name, tensor in first.items())


def test_random_values_do_not_depend_on_the_other_tensors():
    whole, backbone = create_model("lite0"), create_model("lite0", classes=0, head_conv=False)
    tensors = random_weights(whole).state_dict()
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in random_weights(backbone).state_dict().items())


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([[1.0, 2.0], [1.0, 2.0]], 0.0),
        ([[0.0, 0.0], [0.0, 0.0]], 0.0),
        ([[0.0, 4.0], [1.0, 4.0]], 0.25),
        ([[0.0, 4.0], [4.0, 0.0]], 1.0),
        ([[0.0, 4.0], [0.0, 4.0], [2.0, 4.0]], 0.5),
    ],
)
def test_sensitivity_is_the_largest_difference_as_a_share_of_the_range(logits, expected):
    assert sensitivity(torch.tensor(logits)) == expected


def test_logits_that_are_not_finite_exceed_no_threshold():
    assert not sensitivity(torch.tensor([[0.0, math.nan], [1.0, 2.0]])) > 0.1
    assert not sensitivity(torch.tensor([[0.0, math.inf], [1.0, 2.0]])) > 0.1


def test_the_sensitivity_of_one_image_is_refused():
    with pytest.raises(ValueError, match="2 or more images"):
        sensitivity(torch.zeros(1, 1000))


def test_synthetic_images_are_normalised_and_asymmetric():
    images = synthetic_images(4, 40, 56, seed=2)
    assert images.shape == (4, 3, 40, 56)
    assert images.dtype == torch.float32
    torch.testing.assert_close(images.mean((1, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(images.std((1, 2, 3), correction=0), torch.ones(4))
    for mirrored in (images.flip(2), images.flip(3), images.flip(1), images.flip(0)):
        assert (images - mirrored).abs().mean((1, 2, 3)).min() > 0.2


def test_synthetic_images_follow_from_their_seed():
    assert torch.equal(synthetic_images(2, 32, 32, seed=5), synthetic_images(3, 32, 32, seed=5)[:2])
    assert not torch.equal(synthetic_images(1, 32, 32, seed=5), synthetic_images(1, 32, 32, seed=6))

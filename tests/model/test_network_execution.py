"""A network computes the same in every way of running it, and can be trained."""

import pytest
import torch
import torch.nn.functional as F

from effconvert.model import EfficientNet, create_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from helpers.deep import deep_but

VARIANTS = ("b0", "edgetpu-s", "cc-b0-4e")


@pytest.fixture(scope="module", params=VARIANTS)
def network(request) -> EfficientNet:
    return calibrated(request.param)


def calibrated(variant: str, **fact_changes) -> EfficientNet:
    return calibrate(random_weights(create_model(variant, **fact_changes)), synthetic_images(8, 64, 64))


def assert_same(results: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert results.shape == expected.shape
    assert (results - expected).abs().max() <= tolerance * expected.abs().max()


@torch.no_grad()
def test_channels_last_gives_the_same_logits(network):
    images = synthetic_images(2, 64, 80, seed=1)
    expected = network(images)
    assert_same(network(images.contiguous(memory_format=torch.channels_last)), expected)


@torch.no_grad()
def test_a_batch_gives_what_its_images_give_alone(network):
    images = synthetic_images(3, 64, 80, seed=1)
    assert_same(network(images), torch.cat([network(image[None]) for image in images]))


@torch.no_grad()
@pytest.mark.parametrize("variant", VARIANTS)
def test_float32_is_float64_to_rounding(variant):
    images = synthetic_images(2, 64, 80, seed=1)
    network = calibrated(variant)
    expected = network(images)
    assert_same(expected.double(), network.double()(images.double()), tolerance=2e-5)


@torch.no_grad()
@pytest.mark.parametrize(
    "variant", deep_but(VARIANTS, lambda variant: variant == "cc-b0-4e")
)  # with all kinds of layers
def test_it_is_traced_without_a_break(variant):
    network = calibrated(variant)
    images = synthetic_images(2, 65, 64, seed=1)
    torch.compiler.reset()
    assert_same(torch.compile(network, backend="eager", fullgraph=True)(images), network(images))


@torch.no_grad()
def test_it_is_exported_for_one_shape(network):
    images = synthetic_images(2, 65, 64, seed=1)
    assert_same(torch.export.export(network, (images,)).module()(images), network(images))


@torch.no_grad()
@pytest.mark.parametrize(
    "changes",
    deep_but(
        [{}, {"padding": "symmetric"}, {"variant": "edgetpu-s"}, {"variant": "cc-b0-4e"}], lambda changes: not changes
    ),
)
def test_one_export_runs_at_every_size(changes):
    network = calibrated(**{"variant": "b0", **changes})
    # torch reserves a size of one, which the last map has for images of at most 32 pixels
    sizes = {2: torch.export.Dim("height", min=33, max=1024), 3: torch.export.Dim("width", min=33, max=1024)}
    shapes = ({0: torch.export.Dim("images", min=1, max=64), **sizes},)
    program = torch.export.export(network, (synthetic_images(2, 65, 96),), dynamic_shapes=shapes).module()
    for shape in [(2, 65, 96), (1, 64, 64), (3, 33, 101), (2, 98, 70)]:
        images = synthetic_images(*shape, seed=1)
        assert_same(program(images), network(images))


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (32, 32), (33, 47)])
def test_an_image_may_have_any_size(network, size):
    assert network.forward_features(torch.randn(1, 3, *size)).shape[2:] == (
        -(-size[0] // 32),
        -(-size[1] // 32),
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_lowers_the_loss(variant):
    network = calibrated(variant, classes=4).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    images, labels = synthetic_images(4, 64, 64), torch.arange(4)
    losses = []
    for _ in range(8):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in network.parameters())
    assert min(losses[-2:]) < 0.8 * losses[0]


@torch.no_grad()
def test_training_moves_the_statistics_by_a_hundredth():
    network = create_model("lite0").train()
    images = synthetic_images(4, 64, 64)
    network(images)
    batch = network.stem.conv(images)
    torch.testing.assert_close(network.stem.bn.running_mean, 0.01 * batch.mean((0, 2, 3)))
    torch.testing.assert_close(network.stem.bn.running_var, 0.99 + 0.01 * batch.var((0, 2, 3)))


@torch.no_grad()
def test_dropout_only_in_training():
    network = create_model("b0")
    images = synthetic_images(1, 64, 64)
    assert torch.equal(network(images), network(images))
    network.head.dropout.train()
    assert not torch.equal(network(images), network(images))


@torch.no_grad()
def test_statistics_can_be_recomputed_as_weight_averaging_does():
    network = calibrated("lite0")
    before = network.stem.bn.running_mean.clone()
    images = synthetic_images(4, 64, 64, seed=1)
    torch.optim.swa_utils.update_bn([images], network.train())
    torch.testing.assert_close(network.stem.bn.running_mean, network.stem.conv(images).mean((0, 2, 3)))
    assert not torch.equal(network.stem.bn.running_mean, before)

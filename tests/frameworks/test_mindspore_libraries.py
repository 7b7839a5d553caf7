"""The real mindvision and MindCV load what is written for them, strictly, and compute the same numbers."""

import mindspore
import pytest
import torch
from mindspore import nn

import effconvert
from effconvert.model.calibration import synthetic_images
from helpers.deep import deep_but
from helpers.frameworks.mindspore_libraries import assert_same_numbers, bits, logits, values
from helpers.frameworks.torch_libraries import built, calibrated, write

EVEN = (96, 96)
ODD_AND_EVEN = (97, 110)
SYMMETRIC = {"padding": "symmetric", "bn_eps": 1e-5}
SAME = {"padding": "tf-same", "bn_eps": 1e-5}
CASES = [
    ("mindvision", "b0", SYMMETRIC),
    ("mindvision", "b5", SYMMETRIC | {"bn_eps": 1e-3}),
    ("mindvision", "b5", SYMMETRIC),  # as the wheel builds it from a YAML config
    ("mindvision", "b0", SYMMETRIC | {"classes": 7}),
    ("mindcv", "b0", SAME),
    ("mindvision", "b0", SYMMETRIC | {"classes": 0}),
    ("mindvision", "b5", SYMMETRIC | {"classes": 0}),
    ("mindcv", "b5", SAME | {"bn_eps": 1e-3, "classes": 7}),
    ("mindcv", "b0", SAME | {"classes": 0}),
]


@pytest.mark.parametrize(("layout", "variant", "facts"), deep_but(CASES, lambda case: case[1] == "b0"), ids=str)
def test_it_loads_strictly_and_computes_the_same(tmp_path, layout, variant, facts):
    network = calibrated(variant, ODD_AND_EVEN, **facts)
    theirs = built(write(network, tmp_path / "model.ckpt", layout))
    with effconvert.open_checkpoint(tmp_path / "model.ckpt") as checkpoint:
        assert list(checkpoint.tensors) == [parameter.name for parameter in theirs.get_parameters()]
    for size in (ODD_AND_EVEN, EVEN):
        assert_same_numbers(f"{layout} {variant} {facts}", network, theirs, size)


def test_weights_of_tensorflow_run_in_mindcv_once_their_eps_is_folded(tmp_path):
    network = calibrated("b0", EVEN)
    torch.save(network.state_dict(), tmp_path / "b0.pth")
    report = effconvert.convert(tmp_path / "b0.pth", tmp_path / "model.ckpt", to="mindcv", fold_eps=True)
    assert_same_numbers("mindcv b0, folded eps", network, built(report), EVEN)


@pytest.mark.parametrize(("layout", "facts"), [("mindvision", SYMMETRIC), ("mindcv", SAME)])
def test_half_precision_arrives_as_the_float32_that_strict_loading_wants(tmp_path, layout, facts):
    network = calibrated("b0", EVEN, **facts).half().float()
    state = {name: tensor.half() for name, tensor in network.state_dict().items()}
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    torch.save(state, tmp_path / "half.pth")
    report = effconvert.convert(tmp_path / "half.pth", tmp_path / "model.ckpt", to=layout, facts=facts)
    theirs = built(report)
    held = {parameter.name: bits(values(parameter)) for parameter in theirs.get_parameters()}
    with effconvert.open_checkpoint(tmp_path / "model.ckpt") as checkpoint:
        assert {info.dtype.name for info in checkpoint.tensors.values()} == {"float32"}
        assert {name: bits(checkpoint.read(name)) for name in checkpoint.tensors} == held
    assert_same_numbers(f"{layout} b0, from float16", network, theirs, EVEN)


@pytest.mark.parametrize(("layout", "facts"), [("mindvision", SYMMETRIC), ("mindcv", SAME)])
def test_it_loads_safetensors(tmp_path, layout, facts):
    network = calibrated("b0", EVEN, **facts)
    report = write(network, tmp_path / "model.safetensors", layout)
    theirs = built(report)
    assert_same_numbers(f"{layout} b0, safetensors", network, theirs, EVEN)


@pytest.mark.parametrize(("layout", "facts"), [("mindvision", SYMMETRIC), ("mindcv", SAME)])
def test_what_training_saves_comes_back_as_the_weights(tmp_path, layout, facts):
    network = calibrated("b0", EVEN, **facts)
    theirs = built(write(network, tmp_path / "model.ckpt", layout))
    optimizer = nn.RMSProp(theirs.trainable_params(), learning_rate=0.01)
    cell = nn.TrainOneStepCell(nn.WithLossCell(theirs, nn.SoftmaxCrossEntropyWithLogits(sparse=True)), optimizer)
    mindspore.save_checkpoint(cell, str(tmp_path / "trained.ckpt"), append_dict={"epoch_num": 3, "note": "x"})
    with effconvert.open_checkpoint(tmp_path / "trained.ckpt") as checkpoint:
        found = {name: bits(checkpoint.read(name)) for name in checkpoint.tensors}
    held = {parameter.name: bits(values(parameter)) for parameter in cell.get_parameters()}
    assert {name: found[name] for name in held} == held
    report = effconvert.convert(tmp_path / "trained.ckpt", tmp_path / "back.safetensors", facts=facts)
    assert (report.layout, report.variant, report.moved) == (layout, "b0", 311)
    assert report.left_behind["optimizer slot"] == 2 * 213
    back = effconvert.load_model(tmp_path / "back.safetensors")
    for name, tensor in network.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("layout", "facts", "wrong"),
    [("mindvision", SYMMETRIC, {"padding": "tf-same"}), ("mindcv", SAME, {"padding": "symmetric"})],
)
def test_the_wrong_padding_would_be_noticed(tmp_path, layout, facts, wrong):
    network = calibrated("b0", EVEN, **facts)
    theirs = built(write(network, tmp_path / "model.ckpt", layout))
    other = effconvert.create_model("b0", **(facts | wrong))
    other.load_state_dict(network.state_dict())
    images = synthetic_images(2, *EVEN, seed=3)
    with torch.no_grad():
        difference = (other(images) - logits(theirs, images)).abs().max()
    assert difference > 1e-2 * logits(theirs, images).abs().max()

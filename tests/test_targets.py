"""A target holds the facts of the weights or is refused; an epsilon can be folded; inexactness is measured and said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import effconvert
from effconvert.errors import LayoutMismatch
from effconvert.model.calibration import calibrate, random_weights, sensitivity, synthetic_images
from helpers.checkpoints import read_all
from helpers.library_files import library_tensors, save
from helpers.running import Ran


def calibrated(folder: Path, name: str, variant: str = "b0", **facts: Any) -> Path:
    """A canonical file of a network that reacts to its input."""
    network = random_weights(effconvert.create_model(variant, **facts))
    calibrate(network, synthetic_images(8, 96, 96))
    assert sensitivity(network(synthetic_images(2, 96, 96)).detach()) > 0.1
    torch.save(network.state_dict(), folder / "state.pth")
    effconvert.convert(folder / "state.pth", folder / name, facts={key: str(value) for key, value in facts.items()})
    return folder / name


@pytest.fixture(scope="module")
def tensorflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that expect TensorFlow's padding and epsilon."""
    return calibrated(tmp_path_factory.mktemp("tf"), "tf.safetensors")


@pytest.fixture(scope="module")
def symmetric(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that expect torchvision's padding and epsilon."""
    return calibrated(tmp_path_factory.mktemp("tv"), "tv.safetensors", padding="symmetric", bn_eps=1e-5)


@pytest.mark.parametrize("to", ["torchvision", "mindvision"])
def test_a_padding_that_the_library_does_not_have_is_refused(tensorflow: Path, tmp_path: Path, to: str) -> None:
    with pytest.raises(LayoutMismatch) as caught:
        effconvert.convert(tensorflow, tmp_path / "x.safetensors", to=to)
    assert f"{to} cannot hold the facts of this b0:" in str(caught.value)
    assert "bn_eps is 0.001, its network has 1e-05, padding is tf-same, its network has symmetric" in str(caught.value)
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize("to", ["mindcv", "tf-official", "keras"])
def test_another_epsilon_is_refused_with_the_option_that_absorbs_it(tmp_path: Path, to: str) -> None:
    layout = "tf-official" if to == "mindcv" else "mindcv"
    source = save(tmp_path / "x.pth", library_tensors(layout))
    with pytest.raises(LayoutMismatch, match="fold_eps=True absorbs another bn_eps into the variances"):
        effconvert.convert(source, tmp_path / ("y" if to == "tf-official" else "y.pth"), to=to)


def test_a_folded_epsilon_computes_the_same(tensorflow: Path, tmp_path: Path) -> None:
    report = effconvert.convert(tensorflow, tmp_path / "x.ckpt", to="mindcv", fold_eps=True)
    assert report.options["fold_eps"] == {"from": 1e-3, "to": 1e-5}
    assert report.facts["bn_eps"] == 1e-5
    images = synthetic_images(2, 96, 96)
    with torch.no_grad():
        expected = effconvert.load_model(tensorflow)(images)
        folded = effconvert.load_model(tmp_path / "x.ckpt")(images)
        unfolded = effconvert.load_model(tensorflow, facts={"bn_eps": "1e-5"})(images)
    assert (folded - expected).abs().max() < 5e-6 * expected.abs().max()
    assert (unfolded - expected).abs().max() > 1e-3 * expected.abs().max()


def test_folding_changes_the_variances_and_nothing_else(tensorflow: Path, tmp_path: Path) -> None:
    effconvert.convert(tensorflow, tmp_path / "x.ckpt", to="mindcv", fold_eps=True)
    effconvert.convert(tmp_path / "x.ckpt", tmp_path / "back.safetensors")
    before, after = read_all(tensorflow), read_all(tmp_path / "back.safetensors")
    for name, tensor in before.items():
        if name.endswith("running_var"):
            shifted = (tensor.astype(np.float64) + (1e-3 - 1e-5)).astype(np.float32)
            assert np.array_equal(after[name], shifted), name
        else:
            assert np.array_equal(after[name], tensor), name


def test_a_variance_that_would_not_stay_positive_is_not_folded(tmp_path: Path) -> None:
    tensors = library_tensors("mindcv")
    tensors["features.4.1.block.4.moving_variance"][3] = 5e-4
    source = save(tmp_path / "x.pth", tensors)
    with pytest.raises(
        LayoutMismatch, match="features.4.1.block.4.moving_variance .*would make its smallest variance -0.00049"
    ):
        effconvert.convert(source, tmp_path / "y.pth", to="keras", fold_eps=True)
    assert not (tmp_path / "y.pth").exists()


def test_fold_eps_is_refused_where_every_epsilon_is_held(tensorflow: Path, tmp_path: Path) -> None:
    with pytest.raises(LayoutMismatch, match="canonical holds every epsilon"):
        effconvert.convert(tensorflow, tmp_path / "x.safetensors", fold_eps=True)


def test_an_inexact_conversion_is_measured_and_recorded(
    tensorflow: Path, tmp_path: Path, run: Callable[..., Ran]
) -> None:
    ran = run("convert", tensorflow, "--to", "torchvision", "--allow-inexact", "--out", tmp_path / "x.pth")
    assert ran.exit_code == 0
    assert "inexact: the logits of this network differ from the exact ones by 0." in ran.out
    with effconvert.open_checkpoint(tmp_path / "x.pth") as checkpoint:
        said = json.loads(checkpoint.metadata["options"])["inexact"]
    assert said["network"]["padding"] == "symmetric"
    images = synthetic_images(2, 224, 224)
    with torch.no_grad():
        expected = effconvert.load_model(tensorflow)(images)
        found = effconvert.load_model(tmp_path / "x.pth", facts=said["network"])(images)
        own = effconvert.load_model(tmp_path / "x.pth")(images)
    assert torch.equal(own, expected)  # the weights keep their facts, whatever network the file is for
    difference = float((found - expected).abs().max() / expected.abs().max())
    assert said["difference"] == pytest.approx(difference, rel=1e-3)
    assert difference > 0.05


def test_an_inexact_file_goes_on_with_the_facts_of_its_weights(tensorflow: Path, tmp_path: Path) -> None:
    effconvert.convert(tensorflow, tmp_path / "x.pth", to="torchvision", allow_inexact=True)
    report = effconvert.convert(tmp_path / "x.pth", tmp_path / "back.safetensors")
    assert (report.facts["padding"], report.facts["bn_eps"], report.inexact) == ("tf-same", 1e-3, None)


def test_what_the_target_can_hold_is_not_given_up(symmetric: Path, tmp_path: Path) -> None:
    report = effconvert.convert(symmetric, tmp_path / "hf", to="huggingface", allow_inexact=True)
    assert report.options["inexact"]["network"]["bn_eps"] == 1e-5
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["batch_norm_eps"] == 1e-5
    back = effconvert.convert(tmp_path / "hf", tmp_path / "back.safetensors")
    assert (back.facts["padding"], back.facts["bn_eps"]) == ("symmetric", 1e-5)


def test_half_precision_is_left_where_an_epsilon_is_folded(tensorflow: Path, tmp_path: Path) -> None:
    effconvert.convert(tensorflow, tmp_path / "half.safetensors", dtype="float16")
    effconvert.convert(tmp_path / "half.safetensors", tmp_path / "x.ckpt", to="mindcv", fold_eps=True)
    images = synthetic_images(2, 96, 96)
    with torch.no_grad():
        expected = effconvert.load_model(tmp_path / "half.safetensors")(images)
        folded = effconvert.load_model(tmp_path / "x.ckpt")(images)
    assert (folded - expected).abs().max() < 5e-6 * expected.abs().max()


def test_what_is_folded_as_well_is_no_part_of_the_difference(tensorflow: Path, tmp_path: Path) -> None:
    both = effconvert.convert(tensorflow, tmp_path / "x.pth", to="torchvision", fold_eps=True, allow_inexact=True)
    padding = effconvert.convert(
        tensorflow, tmp_path / "y.pth", to="timm", facts={"padding": "symmetric"}
    )  # the same weights, only the padding is another
    with torch.no_grad():
        images = synthetic_images(2, 224, 224)
        expected = effconvert.load_model(tensorflow)(images)
        found = effconvert.load_model(tmp_path / "y.pth")(images)
    assert padding.facts["bn_eps"] == 1e-3
    assert both.inexact == pytest.approx(float((found - expected).abs().max() / expected.abs().max()), rel=1e-3)


def test_allow_inexact_changes_nothing_where_the_facts_are_held(tensorflow: Path, tmp_path: Path) -> None:
    report = effconvert.convert(tensorflow, tmp_path / "x.pth", to="timm", allow_inexact=True)
    assert report.inexact is None
    assert "inexact" not in report.options


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({}, 'timm.create_model("tf_efficientnet_b0", num_classes=2, checkpoint_path='),
        (
            {"padding": "symmetric", "bn_eps": 1e-5},
            'timm.create_model("efficientnet_b0", num_classes=2, checkpoint_path=',
        ),
        ({"bn_eps": 1e-5}, '"efficientnet_b0", num_classes=2, bn_eps=1e-05, pad_type="same"'),
        ({"padding": "symmetric", "bn_eps": 1e-3}, '"efficientnet_b0", num_classes=2, bn_eps=0.001, checkpoint_path='),
    ],
)
def test_the_report_says_which_network_a_timm_file_is_for(tmp_path: Path, facts: dict[str, Any], code: str) -> None:
    source = save(tmp_path / "x.pth", library_tensors("timm"))
    report = effconvert.convert(source, tmp_path / "y.pth", to="timm", facts={"padding": "tf-same", **facts})
    assert code in report.network


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"classes": 7}, 'build_model(images, "efficientnet-b0", training=False, override_params=dict(num_classes=7))'),
        ({"classes": 0}, 'features, _ = builder.build_model_base(images, "efficientnet-b0", training=False)'),
        ({"classes": 0, "head_conv": False}, "tf.train.Saver(variables)"),
    ],
)
def test_the_official_builder_is_told_the_head(tmp_path: Path, facts: dict[str, Any], code: str) -> None:
    source = save(tmp_path / "tf_efficientnet_b0.pth", library_tensors("timm", **facts))
    report = effconvert.convert(source, tmp_path / "tf", to="tf-official")
    assert code in report.network
    compile(report.network, "code", "exec")


def test_wide_weights_are_rounded_for_mindspore_with_a_caution(symmetric: Path, tmp_path: Path) -> None:
    wide = {name: tensor.astype(np.float64) for name, tensor in read_all(symmetric).items()}
    facts = {"padding": "symmetric", "bn_eps": "1e-5"}
    report = effconvert.convert(save(tmp_path / "x.pth", wide), tmp_path / "x.ckpt", to="mindspore", facts=facts)
    assert any("311 tensors were rounded from float64 to float32" in caution for caution in report.cautions)


def test_official_edgetpu_weights_are_refused_with_both_reasons(tmp_path: Path) -> None:
    source = save(tmp_path / "x.pth", library_tensors("tf-official", "edgetpu-s", classes=1001))
    for to in ("timm", "mmpretrain"):
        with pytest.raises(LayoutMismatch) as caught:
            effconvert.convert(source, tmp_path / "y.pth", to=to)
        assert "fused_stride is project, its network has expand" in str(caught.value)
        assert "drop_background_class=True" in str(caught.value)
    with pytest.raises(LayoutMismatch, match="fused_stride is project"):
        effconvert.convert(source, tmp_path / "y.pth", to="timm", drop_background_class=True)
    facts = {"fused_stride": "expand"}
    report = effconvert.convert(source, tmp_path / "y.pth", to="timm", drop_background_class=True, facts=facts)
    assert report.facts["classes"] == 1000


def test_edgetpu_of_mmpretrain_l_is_refused_with_the_reason(tmp_path: Path) -> None:
    source = save(tmp_path / "x.pth", library_tensors("timm", "edgetpu-l"))
    with pytest.raises(LayoutMismatch, match="120 channels"):
        effconvert.convert(source, tmp_path / "y.pth", to="mmpretrain")


def test_a_variant_that_the_library_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    source = save(tmp_path / "x.pth", library_tensors("timm", "lite0"))
    with pytest.raises(LayoutMismatch, match="layout torchvision does not cover lite0; it covers b0, b1, b2"):
        effconvert.convert(source, tmp_path / "y.pth", to="torchvision")


def test_a_layout_that_is_only_read_is_not_written(tensorflow: Path, tmp_path: Path) -> None:
    with pytest.raises(LayoutMismatch, match="mindspore-zoo-b0 can only be read"):
        effconvert.convert(tensorflow, tmp_path / "y.ckpt", to="mindspore-zoo-b0")


def test_pt2ms_takes_the_library_that_pads_as_the_weights_expect(
    tensorflow: Path, symmetric: Path, tmp_path: Path, run: Callable[..., Ran]
) -> None:
    assert "mindvision, 311 tensors" in run("pt2ms", symmetric, "--out", tmp_path / "v.ckpt").out
    assert "mindcv, 311 tensors" in run("pt2ms", tensorflow, "--fold-eps", "--out", tmp_path / "c.ckpt").out
    refused = run("pt2ms", tensorflow, "--library", "mindvision", "--out", tmp_path / "d.ckpt")
    assert refused.exit_code == 4
    assert "padding is tf-same" in refused.err

"""The classifier is found under any name, and nothing that may change the network is left behind without a word."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import effconvert
from effconvert.conversion.steps import Report
from effconvert.errors import LayoutMismatch
from helpers.checkpoints import AVERAGE, read_all, write_checkpoint
from helpers.library_files import Tensors, library_tensors, save, under

WIDTH = 1280
TORCH = ("timm", "torchvision", "lukemelas", "huggingface", "mmpretrain", "mindcv", "mindvision", "monai")


def linear(layer: str, reads: int = WIDTH, gives: int = 5, seed: int = 9) -> Tensors:
    values = np.random.default_rng(seed).normal(0, 0.1, (gives, reads)).astype(np.float32)
    return {f"{layer}.weight": values, f"{layer}.bias": np.arange(gives, dtype=np.float32)}


def norm(layer: str, width: int = WIDTH) -> Tensors:
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{layer}.{name}": np.ones(width, np.float32) for name in names}


def headless(layout: str = "timm") -> Tensors:
    return library_tensors(layout, classes=0)


def converted(source: Path, **options: Any) -> tuple[Report, Tensors]:
    output = source.with_name("out.safetensors")
    report = effconvert.convert(source, output, force=True, **options)  # type: ignore[arg-type]
    return report, read_all(output)


def refused(source: Path, match: str, **options: Any) -> str:
    with pytest.raises(LayoutMismatch, match=match) as caught:
        converted(source, **options)
    assert not source.with_name("out.safetensors").exists()
    return str(caught.value)


@pytest.mark.parametrize("layout", TORCH)
@pytest.mark.parametrize("name", ["my_head", "head.7.linear"])
def test_the_only_linear_layer_under_the_networks_own_prefix_is_its_classifier(
    tmp_path: Path, layout: str, name: str
) -> None:
    own = linear(name)
    report, found = converted(save(tmp_path / "x.pth", under("net.", headless(layout) | own)))
    assert (report.classifier, report.facts["classes"]) == (f"net.{name}", 5)
    assert np.array_equal(found["head.fc.weight"], own[f"{name}.weight"])
    assert np.array_equal(found["head.fc.bias"], own[f"{name}.bias"])
    assert any(f"the layer 'net.{name}' is taken for the classifier" in caution for caution in report.cautions)


@pytest.mark.parametrize("prefix", ["backbone.", "model.encoder.", "0.", "module.net."])
@pytest.mark.parametrize("name", ["fc", "head.1", "1", "model.last_layer", "module.out"])
def test_the_only_linear_layer_outside_of_the_prefix_is_the_classifier(tmp_path: Path, prefix: str, name: str) -> None:
    own = linear(name)
    report, found = converted(save(tmp_path / "x.pth", under(prefix, headless()) | own))
    assert (report.classifier, report.root, report.facts["classes"]) == (name, prefix, 5)
    assert np.array_equal(found["head.fc.weight"], own[f"{name}.weight"])


def test_a_classifier_in_a_dict_of_its_own_is_taken(tmp_path: Path) -> None:
    content = {"backbone": headless(), "head": linear("x") and {"weight": linear("x")["x.weight"], "bias": np.ones(5)}}
    content["head"]["bias"] = content["head"]["bias"].astype(np.float32)
    report, found = converted(save(tmp_path / "x.pth", content))
    assert (report.classifier, report.facts["classes"]) == ("head", 5)
    assert np.array_equal(found["head.fc.weight"], content["head"]["weight"])


def test_tensorflows_own_head_is_taken_with_its_average(tmp_path: Path) -> None:
    tensors = library_tensors("tf-official", classes=0)
    raw, average = (linear("x", seed=seed)["x.weight"].T.copy() for seed in (1, 2))
    held = {name + AVERAGE: tensor for name, tensor in tensors.items() if name != "global_step"} | tensors
    held |= {"my_head/kernel": raw, "my_head/kernel" + AVERAGE: average}
    held |= {"my_head/bias": np.zeros(5, np.float32), "my_head/bias" + AVERAGE: np.ones(5, np.float32)}
    report, found = converted(write_checkpoint(tmp_path / "x", held))
    assert (report.taken, report.classifier) == ("averages", "my_head")
    assert np.array_equal(found["head.fc.weight"], average.T)
    assert np.array_equal(converted(tmp_path / "x", raw=True)[1]["head.fc.weight"], raw.T)


def test_a_head_of_a_bundle_without_averages_is_taken(tmp_path: Path) -> None:
    held = library_tensors("tf-official", classes=0)
    own = {"my_head/dense/kernel": np.ones((WIDTH, 5), np.float32), "my_head/dense/bias": np.ones(5, np.float32)}
    report, found = converted(write_checkpoint(tmp_path / "tf", held | own))
    assert (report.classifier, report.facts["classes"]) == ("my_head/dense", 5)
    assert np.array_equal(found["head.fc.weight"], np.ones((5, WIDTH), np.float32))


def test_each_set_of_weights_has_the_classifier_that_stands_beside_it(tmp_path: Path) -> None:
    raw, average = linear("fc", seed=1), linear("fc", seed=2)
    content = {
        "state_dict": under("backbone.", headless()) | raw,
        "state_dict_ema": under("module.backbone.", headless()) | under("module.", average),
    }
    report, found = converted(save(tmp_path / "x.pth", content))
    assert (report.taken, report.classifier) == ("averages", "state_dict_ema/module.fc")
    assert np.array_equal(found["head.fc.weight"], average["fc.weight"])
    found = converted(tmp_path / "x.pth", raw=True)[1]
    assert np.array_equal(found["head.fc.weight"], raw["fc.weight"])


OUTSIDE = {
    "two heads": linear("age", gives=1) | linear("sex", gives=2),
    "a deep head": linear("head.0", gives=64) | linear("head.2", reads=64),
    "a norm and a linear layer": norm("bottleneck") | linear("fc"),
    "ArcFace": linear("neck", gives=512) | {"margin.weight": np.ones((9, 512), np.float32)},
    "a linear layer without a bias": {"fc.weight": linear("fc")["fc.weight"]},
    "a pooling with a weight": {"pooling.p": np.ones(1, np.float32)} | linear("fc"),
    "a decoder": {"decoder.0.weight": np.ones((8, WIDTH, 3, 3), np.float32)},
    "a detector's neck": {"neck.lateral.0.conv.weight": np.ones((8, 40, 1, 1), np.float32)},
    "normalisers": {"mean": np.ones((1, 3, 1, 1), np.float32), "std": np.ones((1, 3, 1, 1), np.float32)},
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_anything_else_outside_of_the_prefix_is_refused_by_its_name(tmp_path: Path, kind: str) -> None:
    source = save(tmp_path / "x.pth", under("backbone.", headless()) | OUTSIDE[kind])
    message = refused(source, "backbone=True takes the network without a classifier")
    assert all(f"{name}: unknown, outside of 'backbone.'" in message for name in OUTSIDE[kind])
    report, found = converted(source, backbone=True)
    assert set(OUTSIDE[kind]) == report.left.keys()
    assert "head.fc.weight" not in found


def test_a_layer_on_top_of_the_networks_own_classes_is_refused(tmp_path: Path) -> None:
    whole = library_tensors("timm", classes=1000)
    for name, content in {
        "sequential": under("0.", whole) | linear("1", reads=1000, gives=3),
        "attribute": whole | linear("fc2", reads=1000, gives=3),
        "dict": {"model": whole, "top": {"weight": np.ones((3, 1000), np.float32), "bias": np.ones(3, np.float32)}},
    }.items():
        refused(save(tmp_path / f"{name}.pth", content), "weight: unknown, (outside|after|in a dict of its own)")


def test_several_heads_are_refused_until_one_is_named(tmp_path: Path) -> None:
    heads = linear("age", gives=1, seed=1) | linear("sex", gives=2, seed=2)
    source = save(tmp_path / "x.pth", under("backbone.", headless()) | heads)
    refused(source, r'\(classifier="age" or classifier="sex" chooses the classifier among the heads\)')
    report, found = converted(source, classifier="sex")
    assert np.array_equal(found["head.fc.weight"], heads["sex.weight"])
    assert report.options["classifier"] == "sex"
    assert report.left == dict.fromkeys(["age.weight", "age.bias"], "another head than the classifier sex, as asked")


def test_a_head_beside_a_loss_with_weights_is_named_by_the_way_out(tmp_path: Path) -> None:
    centres = {"center_loss.centers": np.ones((5, WIDTH), np.float32)}
    source = save(tmp_path / "x.pth", headless() | linear("fc") | centres)
    message = refused(source, r'\(classifier="fc" chooses the classifier among the heads\)')
    assert 'leave=["PATTERN"] drops' in message
    assert 'leave=["fc' not in message
    assert converted(source, classifier="fc", leave=["center_loss.*"])[0].facts["classes"] == 5


def test_no_layer_that_another_one_reads_is_offered_as_the_classifier(tmp_path: Path) -> None:
    deep = linear("head.0", gives=64) | linear("head.3", reads=64)
    assert "classifier=" not in refused(save(tmp_path / "x.pth", headless() | deep), "after the pooled features")


@pytest.mark.parametrize("layer", ["blocks.6.fc", "conv_head.fc", "bn2.fc"])
def test_a_linear_layer_within_a_layer_or_a_block_is_no_classifier(tmp_path: Path, layer: str) -> None:
    refused(save(tmp_path / "x.pth", headless() | linear(layer)), f"{layer}.weight: unknown, a(mong| part)")


def test_a_named_head_replaces_the_networks_own_classifier(tmp_path: Path) -> None:
    tensors, own = library_tensors("timm", classes=1000), linear("fc")
    source = save(tmp_path / "x.pth", under("model.", tensors) | own)
    refused(source, "fc.weight: unknown, outside of 'model.'")
    report, found = converted(source, classifier="fc")
    assert np.array_equal(found["head.fc.weight"], own["fc.weight"])
    assert report.left.keys() == {"model.classifier.weight", "model.classifier.bias"}
    kept = converted(source, classifier="model.classifier")[1]
    assert np.array_equal(kept["head.fc.weight"], tensors["classifier.weight"])


@pytest.mark.parametrize("name", ["nothing", "blocks.0.0.conv_dw", "neck"])
def test_a_classifier_that_is_none_is_refused_with_its_shapes(tmp_path: Path, name: str) -> None:
    source = save(tmp_path / "x.pth", headless() | linear("neck", reads=64))
    refused(source, f'classifier="{name}": not a linear layer, with a bias, that reads the 1,280', classifier=name)


INSIDE: dict[str, dict[str, Any]] = {
    "an adapter": {"conv_head.lora_A.weight": np.ones((8, 320, 1, 1), np.float32)},
    "a bias": {"conv_stem.bias": np.ones(32, np.float32)},
    "a mask": {"conv_head.weight_mask": np.ones((WIDTH, 320, 1, 1), np.float32)},
    "a layer scale": {"blocks.1.0.gamma": np.ones(24, np.float32)},
    "attention in a block": linear("blocks.3.0.attn.fc", reads=80, gives=10),
    "a further block": {"blocks.6.1.conv_pw.weight": np.ones((1152, 320, 1, 1), np.float32)},
    "a further stage": {"blocks.7.0.conv_pw.weight": np.ones((1920, 320, 1, 1), np.float32)},
    "a norm behind the head": norm("norm_head"),
    "attention behind the head": linear("attn.0", gives=80) | linear("attn.2", reads=80, gives=WIDTH),
    "a position": {"pos_embed": np.ones((49, WIDTH), np.float32)},
    "a pooling with a weight": {"global_pool.p": np.ones(1, np.float32)},
    "a convolution": {"extra.weight": np.ones((WIDTH, WIDTH, 1, 1), np.float32)},
}


@pytest.mark.parametrize("backbone", [False, True])
@pytest.mark.parametrize("kind", INSIDE)
def test_what_may_act_before_the_pooling_is_refused_with_or_without_backbone(
    tmp_path: Path, kind: str, backbone: bool
) -> None:
    source = save(tmp_path / "x.pth", under("net.", library_tensors("timm") | INSIDE[kind]))
    message = refused(source, "merge or remove the tensors inside the network", backbone=backbone)
    assert all(f"net.{name}: unknown, " in message for name in INSIDE[kind])


@pytest.mark.parametrize("layout", ["torchvision", "lukemelas", "huggingface", "mmpretrain", "mindcv", "monai"])
def test_a_tensor_inside_a_layer_is_refused_in_every_layout(tmp_path: Path, layout: str) -> None:
    tensors = library_tensors(layout)
    kernel = next(name for name, tensor in tensors.items() if tensor.shape == (1280, 320, 1, 1))
    extra = {kernel.removesuffix("weight") + "lora_B.weight": np.ones((1280, 8, 1, 1), np.float32)}
    refused(save(tmp_path / "x.pth", tensors | extra), "lora_B.weight: unknown, a part of", backbone=True)


def test_backbone_leaves_a_deep_head_behind_and_lists_it(tmp_path: Path) -> None:
    deep = linear("classifier.0", gives=64) | norm("classifier.1", 64) | linear("classifier.4", reads=64)
    report, found = converted(save(tmp_path / "x.pth", headless() | deep), backbone=True)
    assert report.left == dict.fromkeys(deep, "after the pooled features, left by the option backbone, as asked")
    assert "head.fc.weight" not in found


def test_leave_names_what_may_stay_behind(tmp_path: Path) -> None:
    extra = {"mean": np.ones(3, np.float32), "std": np.ones(3, np.float32), "proj.weight": np.ones((9, 7), np.float32)}
    source = save(tmp_path / "x.pth", under("model.", library_tensors("timm")) | extra)
    refused(source, "mean: unknown")
    report, found = converted(source, leave=["proj.*", "mean", "std"])
    assert report.left["proj.weight"] == "named by the option leave: proj.*, as asked"
    assert report.left.keys() == extra.keys()
    assert report.options["leave"] == ["proj.*", "mean", "std"]
    assert found["head.fc.weight"].shape == (2, 1280)
    refused_names = "leave=… matches no tensor of the file.*\n  nothing.*"
    with pytest.raises(LayoutMismatch, match=refused_names):
        converted(source, leave=["proj.*", "nothing.*"])


def test_what_is_left_within_the_network_is_said_to_change_its_answers(tmp_path: Path) -> None:
    attention = under("blocks.6.0.", linear("cbam.fc", reads=64))
    source = save(tmp_path / "x.pth", under("net.", library_tensors("timm") | attention) | linear("aux", reads=7))
    report, _ = converted(source, leave=["*cbam*", "aux.*"])
    (caution,) = [caution for caution in report.cautions if "stayed behind" in caution]
    assert "net.blocks.6.0.cbam.fc.bias (among the network's own layers" in caution
    assert "and 1 more" in caution


def test_names_are_given_as_the_dict_that_holds_them_has_them(tmp_path: Path) -> None:
    held = under("model.net.", headless()) | linear("model.age", seed=1) | linear("model.sex", gives=2)
    source = save(tmp_path / "x.ckpt", {"state_dict": held | {"aux.weight": np.ones((3, 7), np.float32)}})
    report, found = converted(source, classifier="model.sex", leave=["aux.*"])
    assert np.array_equal(found["head.fc.weight"], held["model.sex.weight"])
    assert "state_dict/aux.weight" in report.left


def test_leave_cannot_take_what_the_network_needs(tmp_path: Path) -> None:
    source = save(tmp_path / "x.pth", library_tensors("timm"))
    refused(
        source,
        "conv_head.weight: named by the option leave: .*, as asked, but the network needs it",
        leave=["conv_head.*"],
    )


HARMLESS: dict[str, dict[str, Any]] = {
    "thop": {"blocks.0.0.conv_dw.total_ops": np.zeros(1), "total_params": np.zeros(1)},
    "a loss": {"criterion.pos_weight": np.ones(2, np.float32), "train_loss.weight": np.ones(2, np.float32)},
    "metrics": {"val_acc.tp": np.zeros(2, np.int64), "train_metrics.f1.fn": np.zeros((), np.int64)},
    "class weights": {"class_weights": np.ones(2, np.float32)},
    "an average's count": {"n_averaged": np.array(5)},
    "values of a training": {"epoch": np.array(7), "best_acc1": np.array(0.5)},
}


@pytest.mark.parametrize("kind", HARMLESS)
@pytest.mark.parametrize("prefix", ["", "model."])
def test_what_every_training_leaves_is_left_with_its_reason(tmp_path: Path, kind: str, prefix: str) -> None:
    tensors = library_tensors("timm")
    source = save(tmp_path / "x.pth", {"state_dict": under(prefix, tensors) | HARMLESS[kind]})
    report, found = converted(source)
    assert np.array_equal(found["head.fc.weight"], tensors["classifier.weight"])
    counted = {reason: count for reason, count in report.left_behind.items() if reason != "counter of training batches"}
    assert sum(counted.values()) == len(HARMLESS[kind])


@pytest.mark.parametrize("name", ["blocks.3.1.loss.scale", "blocks.3.0.class_weights", "bn2.criterion.gamma"])
def test_a_tensor_within_a_layer_is_not_harmless_for_its_name(tmp_path: Path, name: str) -> None:
    tensors = library_tensors("timm") | {name: np.ones(80, np.float32)}
    refused(save(tmp_path / "x.pth", tensors), f"{name}: unknown, a(mong| part)")


def test_a_learned_head_that_is_called_a_loss_is_not_harmless(tmp_path: Path) -> None:
    source = save(tmp_path / "x.pth", under("model.", headless()) | {"criterion.weight": np.ones((9, 512), np.float32)})
    refused(source, "criterion.weight: unknown, outside of 'model.'")


@pytest.mark.parametrize("wrapper", ["_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "module"])
def test_wrappers_inside_of_names_are_passed_over(tmp_path: Path, wrapper: str) -> None:
    tensors = library_tensors("timm")
    wrapped = {
        name.replace("blocks.", f"blocks.{wrapper}.").replace(".conv_dw.", f".conv_dw.{wrapper}."): tensor
        for name, tensor in tensors.items()
    }
    report, found = converted(save(tmp_path / "x.pth", under("model.", wrapped)))
    assert (report.layout, report.root) == ("timm", "model.")
    assert found["blocks.0.depthwise.conv.weight"].tobytes() == tensors["blocks.0.0.conv_dw.weight"].tobytes()


@pytest.mark.parametrize("prefix", ["", "body.", "backbone.body.", "0."])
def test_torchvisions_features_alone_are_a_network_without_a_classifier(tmp_path: Path, prefix: str) -> None:
    tensors = {name.removeprefix("features."): tensor for name, tensor in headless("torchvision").items()}
    report, found = converted(save(tmp_path / "x.pth", under(prefix, tensors)))
    assert (report.layout, report.facts["classes"], report.root) == ("torchvision", 0, prefix)
    assert len(found) == 309


def test_another_network_of_another_library_is_said(tmp_path: Path) -> None:
    both = under("student.", library_tensors("timm")) | under("teacher.", library_tensors("torchvision"))
    source = save(tmp_path / "x.pth", both)
    refused(source, r"holds several networks; choose one with root=…:\n  'student.'\n  'teacher.'")
    assert converted(source, root="student.")[0].layout == "timm"
    report = converted(source, root="teacher.")[0]
    assert (report.layout, report.left_behind["another network's, under 'student.'"]) == ("torchvision", 360)


def test_inspect_names_what_stands_beside_the_network(tmp_path: Path) -> None:
    from effconvert.identify.inspection import inspect

    found = inspect(save(tmp_path / "x.pth", under("backbone.", headless()) | linear("a") | linear("b")))
    assert found.strange == dict.fromkeys(["a.bias", "a.weight", "b.bias", "b.weight"], "outside of 'backbone.'")
    assert inspect(save(tmp_path / "y.pth", under("backbone.", headless()) | linear("a"))).classifier == "a"

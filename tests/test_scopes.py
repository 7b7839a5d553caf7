"""Prefixes and nested dicts are found and named; of raw weights and averages the averages are taken, and never both."""

from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.conversion.steps import Report
from effconvert.errors import LayoutMismatch
from helpers.checkpoints import read_all
from helpers.library_files import canonical_values, library_tensors, save, under


@pytest.fixture
def raw() -> dict[str, np.ndarray]:
    return library_tensors("timm", seed=1)


@pytest.fixture
def averages() -> dict[str, np.ndarray]:
    return library_tensors("timm", seed=2)


def converted(source: Path, **options: object) -> tuple[Report, int]:
    """The report, and which of the seeds above the weights are of."""
    output = source.with_name("out.safetensors")
    report = effconvert.convert(source, output, force=True, **options)  # type: ignore[arg-type]
    found = read_all(output)["stem.conv.weight"]
    seeds = [
        seed for seed in (0, 1, 2) if np.array_equal(canonical_values("b0", 2, True, seed)["stem.conv.weight"], found)
    ]
    assert len(seeds) == 1
    return report, seeds[0]


@pytest.mark.parametrize("prefix", ["module.", "model.", "module.model.", "state_dict/", "net:"])
def test_a_prefix_is_found_and_named(tmp_path: Path, raw: dict[str, np.ndarray], prefix: str) -> None:
    content: object = {"state_dict": raw, "epoch": 3} if prefix == "state_dict/" else under(prefix, raw)
    report, seed = converted(save(tmp_path / "x.pth", content))
    assert (report.layout, report.root, seed) == ("timm", prefix, 1)
    assert f"the tensors are under {prefix!r} instead of ''" in report.cautions


def test_a_prefix_that_ends_within_a_word_is_none(tmp_path: Path, raw: dict[str, np.ndarray]) -> None:
    with pytest.raises(LayoutMismatch, match="are of no known layout"):
        effconvert.convert(save(tmp_path / "x.pth", under("my", raw)), tmp_path / "y.safetensors")


def test_what_else_a_training_saved_is_left_behind_with_the_reason(tmp_path: Path, raw: dict[str, np.ndarray]) -> None:
    optimizer = {"state": {0: {"exp_avg": np.ones(3), "step": np.ones(())}}, "param_groups": [{"lr": 0.1}]}
    report, _ = converted(save(tmp_path / "x.pth", {"state_dict": raw, "optimizer": optimizer, "epoch": 1}))
    assert report.left_behind == {"beside the weights: optimizer": 2, "counter of training batches": 49}


@pytest.mark.parametrize(
    ("first", "second"),
    [("state_dict", "state_dict_ema"), ("model", "model_ema"), ("state_dict", "ema_state_dict")],
)
def test_averages_are_taken_unless_raw_weights_are_asked_for(
    tmp_path: Path, raw: dict[str, np.ndarray], averages: dict[str, np.ndarray], first: str, second: str
) -> None:
    source = save(tmp_path / "x.pth", {first: raw, second: under("module.", averages)})
    report, seed = converted(source)
    assert (report.taken, seed, report.root) == ("averages", 2, f"{second}/module.")
    assert report.left_behind[f"raw weights under '{first}/'; their averages are taken"] == 311
    report, seed = converted(source, raw=True)
    assert (report.taken, seed, report.root) == ("raw", 1, f"{first}/")
    assert report.left_behind[f"averages under '{second}/module.'; the raw weights are taken"] == 311


def test_mmengine_calls_the_averages_state_dict(
    tmp_path: Path, raw: dict[str, np.ndarray], averages: dict[str, np.ndarray]
) -> None:
    content = {
        "meta": {"mmengine_version": "0.10.7", "epoch": 1},
        "state_dict": averages,
        "ema_state_dict": {**under("module.", raw), "steps": np.zeros((), np.int64)},
    }
    source = save(tmp_path / "x.pth", content)
    report, seed = converted(source)
    assert (report.taken, seed, report.root) == ("averages", 2, "state_dict/")
    assert report.left_behind["counter of the averages"] == 1
    report, seed = converted(source, raw=True)
    assert (report.taken, seed, report.root) == ("raw", 1, "ema_state_dict/module.")


def test_torchvisions_counter_of_averages_is_no_unknown_tensor(
    tmp_path: Path, raw: dict[str, np.ndarray], averages: dict[str, np.ndarray]
) -> None:
    held = {**under("module.", averages), "n_averaged": np.zeros((), np.int64)}
    report, seed = converted(save(tmp_path / "x.pth", {"model": raw, "model_ema": held}))
    assert (seed, report.left_behind["counter of the averages"]) == (2, 1)


def test_averages_within_the_scope_of_the_raw_weights_are_told_apart(tmp_path: Path) -> None:
    raw, averages = library_tensors("mindcv", seed=1), library_tensors("mindcv", seed=2)
    source = save(tmp_path / "x.pth", raw | under("ema.", averages) | {"global_step": np.zeros(1, np.int32)})
    assert converted(source)[1] == 2
    report, seed = converted(source, raw=True)
    assert (report.layout, seed) == ("mindcv", 1)


def test_a_file_of_averages_alone_says_so(tmp_path: Path, averages: dict[str, np.ndarray]) -> None:
    report, seed = converted(save(tmp_path / "x.pth", {"state_dict_ema": averages}))
    assert (report.taken, seed) == ("averages", 2)


def test_averages_are_never_completed_from_raw_weights(
    tmp_path: Path, raw: dict[str, np.ndarray], averages: dict[str, np.ndarray]
) -> None:
    del averages["blocks.3.0.conv_dw.weight"]
    source = save(tmp_path / "x.pth", {"state_dict": raw, "state_dict_ema": averages})
    with pytest.raises(LayoutMismatch, match="state_dict_ema/blocks.3.0.conv_dw.weight: missing, only the raw tensor"):
        converted(source)
    assert converted(source, raw=True)[1] == 1


def test_two_networks_are_refused_until_one_is_named(
    tmp_path: Path, raw: dict[str, np.ndarray], averages: dict[str, np.ndarray]
) -> None:
    source = save(tmp_path / "x.pth", under("student.", raw) | under("teacher.", averages))
    with pytest.raises(LayoutMismatch, match=r"holds several networks; choose one with root=…:\n  'student.'\n"):
        converted(source)
    report, seed = converted(source, root="teacher.")
    assert seed == 2
    assert report.left_behind["another network's, under 'student.'"] == 360
    with pytest.raises(LayoutMismatch, match="no network is under 'pupil.'; holds several networks"):
        converted(source, root="pupil.")


def test_a_network_at_the_top_is_told_from_another_beneath(
    tmp_path: Path, raw: dict[str, np.ndarray], averages: dict[str, np.ndarray]
) -> None:
    source = save(tmp_path / "x.pth", raw | under("copy.", averages))
    report, seed = converted(source, root="")
    assert (seed, report.left_behind["another network's, under 'copy.'"]) == (1, 360)


def test_other_modules_beside_the_network_are_left_behind_by_name(tmp_path: Path, raw: dict[str, np.ndarray]) -> None:
    content = {"state_dict": {**under("model.", raw), "criterion.weight": np.ones(2)}, "callbacks": {}}
    report, _ = converted(save(tmp_path / "x.ckpt", content))
    assert report.left_behind["buffer of a loss"] == 1


def test_an_unknown_tensor_inside_the_network_is_refused(tmp_path: Path, raw: dict[str, np.ndarray]) -> None:
    source = save(tmp_path / "x.pth", under("model.", raw | {"extra.weight": np.ones(2, np.float32)}))
    with pytest.raises(LayoutMismatch, match="model.extra.weight: unknown"):
        converted(source)


@pytest.mark.parametrize(("layout", "prefix"), [("mmpretrain", "backbone."), ("huggingface", "efficientnet.")])
def test_a_backbone_saved_alone_is_a_headless_network(tmp_path: Path, layout: str, prefix: str) -> None:
    tensors = library_tensors(layout, bare=True, classes=0)
    assert not any(name.startswith(prefix) for name in tensors)
    report = effconvert.convert(save(tmp_path / "x.pth", tensors), tmp_path / "y.safetensors")
    assert (report.layout, report.facts["classes"], report.facts["head_conv"]) == (layout, 0, True)


def test_a_detectors_backbone_is_taken_and_the_rest_is_named(tmp_path: Path) -> None:
    tensors = library_tensors("mmpretrain", classes=0, head_conv=False)
    source = save(tmp_path / "x.pth", {"state_dict": tensors | {"neck.conv.weight": np.ones(2, np.float32)}})
    with pytest.raises(LayoutMismatch, match=r"neck.conv.weight: unknown, outside of 'state_dict/backbone.'"):
        effconvert.convert(source, tmp_path / "y.safetensors")
    report = effconvert.convert(source, tmp_path / "y.safetensors", backbone=True)
    assert (report.layout, report.facts["head_conv"]) == ("mmpretrain", False)
    assert report.left.keys() == {"state_dict/neck.conv.weight"}


def test_a_classifier_of_the_wrong_shape_is_refused_and_not_taken_for_another_part(tmp_path: Path) -> None:
    tensors = library_tensors("mmpretrain")
    tensors["head.fc.weight"] = tensors["head.fc.weight"][:, :-1]
    with pytest.raises(LayoutMismatch, match=r"head.fc.weight: shape \(2, 1279\), expected \(2, 1280\)"):
        effconvert.convert(save(tmp_path / "x.pth", tensors), tmp_path / "y.safetensors")


def test_raw_is_refused_where_there_is_one_set(tmp_path: Path, raw: dict[str, np.ndarray]) -> None:
    with pytest.raises(LayoutMismatch, match="holds one set of weights; raw=True is for files that hold averages too"):
        converted(save(tmp_path / "x.pth", raw), raw=True)


def test_the_raw_twins_that_mmcvs_averaging_keeps_are_left_behind(tmp_path: Path) -> None:
    tensors = library_tensors("mmpretrain", seed=2)
    twins = {"ema_" + name.replace(".", "_"): tensor for name, tensor in tensors.items() if name.endswith("weight")}
    report, seed = converted(save(tmp_path / "epoch_100.pth", {"meta": {}, "state_dict": tensors | twins}))
    assert seed == 2
    assert report.left_behind["raw weights; mmcv's EMAHook saves the averages as the weights"] == len(twins)


@pytest.mark.parametrize("layout", ["timm", "torchvision", "mmpretrain", "keras", "canonical"])
def test_a_backbone_can_be_taken_from_under_layers_of_ones_own(tmp_path: Path, layout: str) -> None:
    tensors = library_tensors("timm" if layout == "canonical" else layout)
    own = {"my.head.weight": np.ones((3, 1280), np.float32), "my.head.bias": np.ones(3, np.float32)}
    if layout == "keras":
        own = {"my_head/kernel": np.ones((1280, 3), np.float32), "my_head/bias": np.ones(3, np.float32)}
    if layout == "canonical":
        effconvert.convert(save(tmp_path / "x.pth", tensors), tmp_path / "c.pth")
        tensors = read_all(tmp_path / "c.pth")
    source = save(tmp_path / "own.pth", tensors | own)
    with pytest.raises(
        LayoutMismatch, match="head.(weight|kernel): unknown, after(?s:.*)backbone=True takes the network"
    ):
        effconvert.convert(source, tmp_path / "y.pth")
    report = effconvert.convert(source, tmp_path / "y.pth", backbone=True)
    assert (report.facts["classes"], report.options["backbone"]) == (0, True)
    assert report.left_behind["after the pooled features, left by the option backbone, as asked"] == 4
    assert len(read_all(tmp_path / "y.pth")) == 309

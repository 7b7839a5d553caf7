"""A conversion moves every tensor where it belongs, never mixes sets of weights, and can be undone bit for bit."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch

import effconvert
from effconvert.architecture.canonical import tensor_shapes
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import LayoutMismatch, UnreadableCheckpoint
from helpers import official_weights
from helpers.checkpoints import AVERAGE, Tensors, random_checkpoint, read_all, same, write_checkpoint


def test_averages_are_taken_and_each_tensor_goes_where_it_belongs(b0: Path, tmp_path: Path) -> None:
    report = effconvert.convert(b0, tmp_path / "b0.safetensors")
    expected = official_weights.canonical_weights("efficientnet-b0", average=True)
    assert same(safetensors.numpy.load_file(tmp_path / "b0.safetensors"), expected)
    assert (report.variant, report.taken, report.moved, report.parameters) == ("b0", "averages", 311, 5288548)
    assert report.left_behind == {"raw weights; their averages are taken": 311, "training step counter": 1}


def test_raw_weights_are_taken_when_asked_for_and_the_report_says_so(b0: Path, tmp_path: Path) -> None:
    report = effconvert.convert(b0, tmp_path / "b0.safetensors", raw=True)
    expected = official_weights.canonical_weights("efficientnet-b0", average=False)
    assert same(safetensors.numpy.load_file(tmp_path / "b0.safetensors"), expected)
    assert report.taken == "raw"
    assert report.options.keys() == {"raw", "assumed_recipe"}
    assert report.options["raw"] is True
    assert any("raw weights were taken" in caution for caution in report.cautions)


def test_one_set_under_raw_names_is_taken_with_a_caution(b0_tensors: Tensors, tmp_path: Path) -> None:
    raw = {name: t for name, t in b0_tensors.items() if not name.endswith(AVERAGE) and name != "global_step"}
    write_checkpoint(tmp_path / "saved_model" / "variables", raw, "variables")
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"\x08\x01")
    report = effconvert.convert(tmp_path / "saved_model", tmp_path / "b0.safetensors")
    assert report.taken == "raw"
    assert any("these are averages if" in caution for caution in report.cautions)


@pytest.mark.parametrize("lost", ["one average", "one raw tensor"])
def test_sets_of_weights_are_never_mixed(b0_tensors: Tensors, tmp_path: Path, lost: str) -> None:
    name = "efficientnet-b0/blocks_7/se/conv2d_1/bias"
    name += AVERAGE if lost == "one average" else ""
    write_checkpoint(tmp_path / "mixed", {n: t for n, t in b0_tensors.items() if n != name})
    with pytest.raises(LayoutMismatch, match="missing, only the (raw|averages) tensor exists"):
        effconvert.convert(tmp_path / "mixed", tmp_path / "b0.safetensors", raw=lost == "one raw tensor")


def test_raw_weights_do_not_become_averages_on_the_way_back(b0: Path, tmp_path: Path) -> None:
    effconvert.convert(b0, tmp_path / "raw.safetensors", raw=True)
    report = effconvert.convert(tmp_path / "raw.safetensors", tmp_path / "back", to="tf-official")
    assert not [name for name in read_all(tmp_path / "back") if name.endswith(AVERAGE)]
    assert any("only raw names were written" in caution for caution in report.cautions)
    report = effconvert.convert(tmp_path / "raw.safetensors", tmp_path / "both", to="tf-official", names="both")
    assert any('under the names of averages, as names="both" asked' in caution for caution in report.cautions)


def test_a_b0_without_squeeze_and_excite_does_not_pass_for_a_lite0(b0_tensors: Tensors, tmp_path: Path) -> None:
    robbed = {name: tensor for name, tensor in b0_tensors.items() if "/se/" not in name}
    with pytest.raises(
        LayoutMismatch,
        match=r"tf-official, b0, averages weights:\n  all 64 missing tensors are of one kind: squeeze-and-excite",
    ) as error:
        effconvert.convert(write_checkpoint(tmp_path / "robbed", robbed), tmp_path / "x.safetensors")
    assert ": missing" not in str(error.value)  # one sentence in place of 64 names


def test_the_shapes_decide_against_a_scope_that_names_another_variant(tmp_path: Path) -> None:
    _, tensors = random_checkpoint(tmp_path / "b1", "b1")
    misnamed = {name.replace("efficientnet-b1", "efficientnet-b0"): tensor for name, tensor in tensors.items()}
    report = effconvert.convert(write_checkpoint(tmp_path / "misnamed", misnamed), tmp_path / "x.safetensors")
    assert report.variant == "b1"
    assert any("are under 'efficientnet-b0/'" in caution for caution in report.cautions)


def test_there_is_no_way_from_a_layout_to_itself(lite0: Path, tmp_path: Path) -> None:
    with pytest.raises(LayoutMismatch, match="already has the layout tf-official"):
        effconvert.convert(lite0, tmp_path / "back", to="tf-official")


def test_a_converted_file_has_no_raw_weights_to_take(lite0: Path, tmp_path: Path) -> None:
    effconvert.convert(lite0, tmp_path / "x.safetensors")
    with pytest.raises(LayoutMismatch, match="holds one set of weights; raw=True is for files that hold averages too"):
        effconvert.convert(tmp_path / "x.safetensors", tmp_path / "y.safetensors", raw=True)


def test_damage_in_what_is_left_behind_is_found_too(b0: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(b0, tmp_path / "copy")
    with effconvert.open_checkpoint(b0) as checkpoint:
        raw = checkpoint.read("efficientnet-b0/head/dense/kernel").tobytes()
    data = copy / "model.ckpt.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[content.index(raw)] ^= 1
    data.write_bytes(content)
    with pytest.raises(UnreadableCheckpoint, match="tensor efficientnet-b0/head/dense/kernel is damaged"):
        effconvert.convert(copy, tmp_path / "x.safetensors")
    assert not (tmp_path / "x.safetensors").exists()


def test_a_source_that_is_not_the_expected_one_is_refused(lite0: Path, tmp_path: Path) -> None:
    with pytest.raises(UnreadableCheckpoint, match=r"model.ckpt.index: has SHA-256 .*, expected 00"):
        effconvert.convert(lite0, tmp_path / "x.pth", expected_sha256={"model.ckpt.index": "00"})
    assert not (tmp_path / "x.pth").exists()


def test_a_file_of_averages_alone_has_no_raw_weights(lite0: Path, tmp_path: Path) -> None:
    assert effconvert.convert(lite0, tmp_path / "x.safetensors").taken == "averages"
    with pytest.raises(LayoutMismatch, match="only the averages tensor exists"):
        effconvert.convert(lite0, tmp_path / "raw.safetensors", raw=True)


def test_optimizer_slots_are_left_behind_with_their_reason(b0_tensors: Tensors, tmp_path: Path) -> None:
    slots = {f"{name}/RMSProp{n}": np.ones(1, np.float32) for name in list(b0_tensors)[1:4] for n in ("", "_1")}
    write_checkpoint(tmp_path / "training", b0_tensors | slots)
    report = effconvert.convert(tmp_path / "training", tmp_path / "b0.safetensors")
    assert report.left_behind["optimizer slot"] == 6


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name not in ("b8", "l2")])
def test_r2_a_checkpoint_comes_back_bit_for_bit(variant: str, tmp_path: Path) -> None:
    folder, tensors = random_checkpoint(tmp_path / "original", variant)
    report = effconvert.convert(folder, tmp_path / "x.safetensors")
    effconvert.convert(tmp_path / "x.safetensors", tmp_path / "back", to="tf-official", names="average")
    returned = read_all(tmp_path / "back")
    assert returned.pop("global_step") == 0
    assert report.variant == variant
    assert same(returned, tensors)


def test_bit_patterns_that_arithmetic_would_lose_survive(lite0_tensors: Tensors, tmp_path: Path) -> None:
    name = "efficientnet-lite0/head/dense/kernel" + AVERAGE
    kernel = lite0_tensors[name].copy()
    kernel[0, :4] = np.array([0x80000000, 0x00000001, 0x807FFFFF, 0x7F7FFFFF], np.uint32).view(np.float32)
    folder = write_checkpoint(tmp_path / "odd", lite0_tensors | {name: kernel})
    effconvert.convert(folder, tmp_path / "x.safetensors")
    assert read_all(tmp_path / "x.safetensors")["head.fc.weight"].tobytes() == kernel.T.tobytes()


@pytest.mark.parametrize("names", ["raw", "average", "both"])
def test_the_way_back_writes_the_names_that_are_asked_for(lite0: Path, tmp_path: Path, names: str) -> None:
    effconvert.convert(lite0, tmp_path / "x.safetensors")
    effconvert.convert(tmp_path / "x.safetensors", tmp_path / "back", to="tf-official", names=names)
    official = set(official_weights.all_shapes()["efficientnet-lite0"])
    averages = {name + AVERAGE for name in official}
    expected = {"raw": official, "average": averages, "both": official | averages}[names] | {"global_step"}
    assert read_all(tmp_path / "back").keys() == expected
    assert 'model_checkpoint_path: "model.ckpt"' in (tmp_path / "back" / "checkpoint").read_text()


def test_a_pth_file_holds_the_same_and_torch_loads_it(lite0: Path, tmp_path: Path) -> None:
    effconvert.convert(lite0, tmp_path / "x.safetensors")
    effconvert.convert(lite0, tmp_path / "x.pth")
    loaded = torch.load(tmp_path / "x.pth", weights_only=True)
    assert same({n: t.numpy() for n, t in loaded.items()}, safetensors.numpy.load_file(tmp_path / "x.safetensors"))
    assert list(loaded) == list(tensor_shapes(VARIANTS["lite0"]))


def test_a_pth_file_goes_back_to_tensorflow_too(lite0: Path, lite0_tensors: Tensors, tmp_path: Path) -> None:
    effconvert.convert(lite0, tmp_path / "x.pth")
    effconvert.convert(tmp_path / "x.pth", tmp_path / "back", to="tf-official", names="average")
    returned = read_all(tmp_path / "back")
    del returned["global_step"]
    assert same(returned, lite0_tensors)


def test_a_state_dict_saved_by_torch_goes_back_to_tensorflow(
    lite0: Path, lite0_tensors: Tensors, tmp_path: Path
) -> None:
    effconvert.convert(lite0, tmp_path / "x.safetensors")
    torch.save(effconvert.load_model(tmp_path / "x.safetensors").state_dict(), tmp_path / "saved.pth")
    report = effconvert.convert(tmp_path / "saved.pth", tmp_path / "back", to="tf-official", names="average")
    assert report.variant == "lite0"
    assert any("has no facts" in caution for caution in report.cautions)
    returned = read_all(tmp_path / "back")
    del returned["global_step"]
    assert same(returned, lite0_tensors)


@pytest.mark.parametrize("facts", [{"classes": 7}, {"classes": 0}, {"classes": 0, "head_conv": False}])
def test_other_heads_are_recognised_and_come_back(tmp_path: Path, facts: dict[str, object]) -> None:
    folder, tensors = random_checkpoint(tmp_path / "own", "lite0", facts)
    report = effconvert.convert(folder, tmp_path / "x.safetensors")
    assert {name: report.facts[name] for name in facts} == facts
    effconvert.convert(tmp_path / "x.safetensors", tmp_path / "back", to="tf-official", names="average")
    returned = read_all(tmp_path / "back")
    del returned["global_step"]
    assert same(returned, tensors)


def test_another_scope_is_found_and_told(lite0_tensors: Tensors, tmp_path: Path) -> None:
    renamed = {name.replace("efficientnet-lite0/", "my/backbone/"): t for name, t in lite0_tensors.items()}
    report = effconvert.convert(write_checkpoint(tmp_path / "own", renamed), tmp_path / "x.safetensors")
    assert report.variant == "lite0"
    assert any("are under 'my/backbone/'" in caution for caution in report.cautions)

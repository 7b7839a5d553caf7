"""The commands between frameworks, as users type them: what they write, print, and answer with their exit code."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import effconvert
from helpers.checkpoints import read_all, write_checkpoint
from helpers.library_files import library_tensors, save
from helpers.running import Ran


@pytest.fixture(scope="module")
def b0_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A canonical file with TensorFlow's facts; do not change it."""
    folder = tmp_path_factory.mktemp("files")
    effconvert.convert(save(folder / "tf.pth", library_tensors("tf-official")), folder / "b0.safetensors")
    return folder / "b0.safetensors"


@pytest.mark.parametrize(
    ("to", "name", "found"),
    [
        ("canonical", "x.pth", "PyTorch zip, x.pth"),
        ("timm", "x.safetensors", "safetensors, x.safetensors"),
        ("timm", "x.pth.tar", "PyTorch zip, x.pth.tar"),
        ("lukemelas", "x.pt", "PyTorch zip, x.pt"),
        ("mmpretrain", "x.bin", "PyTorch zip, x.bin"),
        ("mmpretrain", "x.ckpt", "MindSpore checkpoint, x.ckpt"),
        ("huggingface", "x", "safetensors, model.safetensors"),
        ("tf-official", "x", "TensorFlow"),
        ("keras", "x.h5", "Keras HDF5"),
        ("keras", "x.weights.h5", "Keras HDF5"),
        ("keras", "x.keras", ".keras"),
    ],
)
def test_the_suffix_decides_the_format(
    run: Callable[..., Ran], b0_file: Path, tmp_path: Path, to: str, name: str, found: str
) -> None:
    ran = run("convert", b0_file, "--to", to, "--out", tmp_path / name)
    assert ran.exit_code == 0, ran.err
    shown = run("inspect", tmp_path / name).out
    assert found in shown
    assert re.search(rf"^layout +{to}\b", shown, re.MULTILINE)
    assert "b0, 4,010,110 parameters" in shown


@pytest.mark.parametrize("to", ["canonical", "timm", "mindvision"])
@pytest.mark.parametrize("name", ["x.h5", "x.weights.h5", "x.keras"])
def test_kerass_formats_hold_kerass_layout_alone(
    run: Callable[..., Ran], b0_file: Path, tmp_path: Path, to: str, name: str
) -> None:
    ran = run("convert", b0_file, "--to", to, "--out", tmp_path / name)
    assert ran.exit_code == 8
    assert f"is Keras's format and holds the layout keras, not {to}" in ran.err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["x.tflite", "x", ".pth", "x.safetensor"])
def test_another_suffix_is_refused_with_the_known_ones(
    run: Callable[..., Ran], b0_file: Path, tmp_path: Path, name: str
) -> None:
    ran = run("convert", b0_file, "--to", "timm", "--out", tmp_path / name)
    assert ran.exit_code == 8
    assert ".safetensors, .pth, .pt, .bin, .tar, .ckpt, .h5, .weights.h5, .keras" in ran.err


@pytest.mark.parametrize(
    ("command", "layout"), [("pt2timm", "timm"), ("pt2mm", "mmpretrain"), ("pt2tf", "tf-official")]
)
def test_the_short_commands_write_their_layout(
    run: Callable[..., Ran], b0_file: Path, tmp_path: Path, command: str, layout: str
) -> None:
    output = tmp_path / ("x" if command == "pt2tf" else "x.pth")
    ran = run(command, b0_file, "--out", output, "--json")
    assert json.loads(ran.out)["output_layout"] == layout
    assert run("diff", b0_file, output).exit_code == 0


@pytest.mark.parametrize(("command", "layout"), [("timm2pt", "timm"), ("mm2pt", "mmpretrain"), ("ms2pt", "mindcv")])
def test_the_short_commands_read_files_of_their_own(
    run: Callable[..., Ran], tmp_path: Path, command: str, layout: str
) -> None:
    source = save(tmp_path / "own.pth", library_tensors(layout))
    ran = run(command, "--checkpoint", source, "--out", tmp_path / "x.safetensors", "--json")
    assert ran.exit_code == 0, ran.err
    assert json.loads(ran.out)["layout"] == layout


def test_a_name_that_promises_another_hash_is_told(run: Callable[..., Ran], tmp_path: Path) -> None:
    source = save(tmp_path / "efficientnet-b0-aa-8d939117.pth", library_tensors("mmpretrain"))
    ran = run("mm2pt", "--checkpoint", source, "--out", tmp_path / "x.safetensors")
    assert ran.exit_code == 0
    assert "its name says 8d939117: it was changed, damaged or renamed" in ran.out


GOLDEN = Path(__file__).parent / "golden" / "mindspore" / "ms2.10.0"


@pytest.mark.parametrize("cipher", ["gcm", "cbc", "sm4"])
def test_an_encrypted_file_asks_for_its_key(run: Callable[..., Ran], cipher: str) -> None:
    refused = run("inspect", GOLDEN / f"enc_{cipher}.ckpt")
    assert refused.exit_code == 3
    assert "--key" in refused.err
    assert run("inspect", GOLDEN / f"enc_{cipher}.ckpt", "--key", "9876543210abcdef").exit_code == 3
    opened = run("inspect", GOLDEN / f"enc_{cipher}.ckpt", "--key", "0123456789abcdef")
    assert opened.exit_code == 0
    assert run("inspect", GOLDEN / "plain.ckpt").out.split("tensors")[1:] == opened.out.split("tensors")[1:]


def test_diff_of_equal_weights_in_two_formats_is_0(run: Callable[..., Ran], b0_file: Path, tmp_path: Path) -> None:
    effconvert.convert(b0_file, tmp_path / "x.weights.h5", to="keras")
    ran = run("diff", b0_file, tmp_path / "x.weights.h5")
    assert ran.exit_code == 0
    assert "equal: all 311 tensors" in ran.out


def test_diff_names_the_worst_tensors_first(run: Callable[..., Ran], tmp_path: Path) -> None:
    tensors = library_tensors("timm")
    one = save(tmp_path / "tf_efficientnet_b0.pth", tensors)
    tensors["conv_head.weight"] = tensors["conv_head.weight"] + np.float32(1e-6)
    tensors["blocks.2.1.conv_pw.weight"] = tensors["blocks.2.1.conv_pw.weight"].copy()
    tensors["blocks.2.1.conv_pw.weight"][7, 3] += np.float32(0.25)
    two = save(tmp_path / "tf_efficientnet_b0_changed.pth", tensors)
    ran = run("diff", one, two, "--json")
    assert ran.exit_code == 5
    said = json.loads(ran.out)
    assert [tensor["name"] for tensor in said["differing"]] == ["blocks.4.expand.conv.weight", "head.conv.weight"]
    assert said["differing"][0]["at"] == [7, 3, 0, 0]
    assert said["differing"][0]["largest"] == pytest.approx(0.25, rel=1e-6)
    assert (said["equal"], said["same"]) == (309, False)
    lines = run("diff", one, two).out.splitlines()
    assert lines[0] == "different: 309 tensors are equal, 2 differ, by at most 0.53 of the largest value"
    assert next(line.split()[1:3] for line in lines if line.startswith("blocks.4.expand")) == ["0.25", "0.53"]


def test_diff_counts_what_each_file_alone_has_as_it_lists_it(run: Callable[..., Ran], tmp_path: Path) -> None:
    one, two = tmp_path / "b0.pth", tmp_path / "b1.pth"
    for variant, path in (("lite0", one), ("lite1", two)):
        network = effconvert.create_model(variant)
        save(path, {name: tensor.numpy() for name, tensor in network.state_dict().items()})
    first, *lines = run("diff", one, two).out.splitlines()
    alone = {line[:9]: line[9:].split()[0] for line in lines if line.startswith("only in ")}
    assert first.endswith(f", {alone['only in A']} only in A, {alone['only in B']} only in B")
    assert "missing" not in first


def test_diff_tells_networks_apart_whose_tensors_are_equal(run: Callable[..., Ran], tmp_path: Path) -> None:
    tensors = library_tensors("timm")
    one, two = (
        save(tmp_path / f"{arch}.pth", {"arch": arch, "state_dict": tensors})
        for arch in ("tf_efficientnet_b0", "efficientnet_b0")
    )
    ran = run("diff", one, two)
    assert ran.exit_code == 5
    assert "fact  padding: tf-same in A, symmetric in B" in ran.out
    assert "none differs, and the networks differ in " in ran.out


def test_diff_of_an_assumed_fact_is_told_and_no_difference(run: Callable[..., Ran], tmp_path: Path) -> None:
    tensors = library_tensors("timm")
    one, two = save(tmp_path / "unknown.pth", tensors), save(tmp_path / "efficientnet_b0.pth", tensors)
    ran = run("diff", one, two)
    assert ran.exit_code == 0
    assert "fact  padding: tf-same in A, symmetric in B (assumed)" in ran.out
    assert "ambiguous" in ran.out


def test_diff_counts_what_only_one_file_has(run: Callable[..., Ran], tmp_path: Path) -> None:
    one = save(tmp_path / "one.pth", library_tensors("torchvision"))
    two = save(tmp_path / "two.pth", library_tensors("torchvision", classes=3))
    ran = run("diff", one, two)
    assert ran.exit_code == 5
    assert "only in A  2 tensors, or in another shape: head.fc.weight, head.fc.bias" in ran.out
    headless = save(tmp_path / "three.pth", library_tensors("torchvision", classes=0))
    assert "only in A  2 tensors" in run("diff", one, headless).out


def test_diff_compares_the_averages_of_both_or_with_raw_the_raw_weights(
    run: Callable[..., Ran], b0: Path, tmp_path: Path
) -> None:
    effconvert.convert(b0, tmp_path / "averages.safetensors")
    effconvert.convert(b0, tmp_path / "raw.safetensors", raw=True)
    assert run("diff", b0, tmp_path / "averages.safetensors").exit_code == 0
    assert run("diff", b0, tmp_path / "raw.safetensors").exit_code == 5
    assert run("diff", b0, tmp_path / "raw.safetensors", "--raw").exit_code == 0


def test_diff_of_rounded_weights_says_how_far_they_are(run: Callable[..., Ran], b0_file: Path, tmp_path: Path) -> None:
    effconvert.convert(b0_file, tmp_path / "half.safetensors", dtype="float16")
    ran = run("diff", b0_file, tmp_path / "half.safetensors", "--json")
    assert ran.exit_code == 5
    assert all(0 < tensor["relative"] < 1e-3 for tensor in json.loads(ran.out)["differing"])
    told = run("diff", b0_file, tmp_path / "half.safetensors").out
    assert "dtypes  311 tensors have other dtypes" in told
    assert told.startswith("close: ")


def test_diff_of_something_else_is_refused(run: Callable[..., Ran], b0_file: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a checkpoint")
    assert run("diff", b0_file, tmp_path / "text").exit_code == 3
    assert run("diff", b0_file, tmp_path / "missing").exit_code == 2
    resnet = save(tmp_path / "resnet.pth", {"conv1.weight": np.ones((64, 3, 7, 7), np.float32)})
    assert run("diff", b0_file, resnet).exit_code == 4


def test_a_bundle_keeps_what_is_said_of_it_until_it_is_trained_on(b0: Path, tmp_path: Path) -> None:
    effconvert.convert(b0, tmp_path / "x.safetensors", weights="advprop")
    effconvert.convert(tmp_path / "x.safetensors", tmp_path / "tf", to="tf-official")
    report = effconvert.convert(tmp_path / "tf", tmp_path / "back.safetensors")
    assert (report.weights, report.recipe["mean"]) == ("advprop", [127.5] * 3)
    trained = {name: tensor for name, tensor in read_all(tmp_path / "tf").items() if name != "global_step"}
    write_checkpoint(tmp_path / "tf", trained)
    assert effconvert.convert(tmp_path / "tf", tmp_path / "again.safetensors").weights is None


def test_an_edited_config_beside_our_own_file_is_read(run: Callable[..., Ran], b0_file: Path, tmp_path: Path) -> None:
    effconvert.convert(b0_file, tmp_path / "hf", to="huggingface")
    path = tmp_path / "hf" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"batch_norm_eps": 1e-5}))
    report = effconvert.convert(tmp_path / "hf", tmp_path / "x.safetensors")
    assert report.facts["bn_eps"] == 1e-5
    assert any("bn_eps is 1e-05 in config.json, which was edited" in caution for caution in report.cautions)
    path.write_text(json.dumps(config | {"width_coefficient": 1.1}))
    ran = run("convert", tmp_path / "hf", "--to", "timm", "--out", tmp_path / "y.pth")
    assert ran.exit_code == 4
    path.write_text("{")
    assert run("convert", tmp_path / "hf", "--to", "timm", "--out", tmp_path / "y.pth").exit_code == 3


def test_class_names_go_along_to_hugging_face(b0_file: Path, tmp_path: Path) -> None:
    effconvert.convert(b0_file, tmp_path / "hf", to="huggingface")
    path = tmp_path / "hf" / "config.json"
    config = json.loads(path.read_text())
    del config["num_labels"]
    config |= {"id2label": {"0": "cat", "1": "dog"}, "label2id": {"cat": 0, "dog": 1}}
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    tensors = read_all(tmp_path / "hf")
    save(foreign / "pytorch_model.bin", tensors)
    (foreign / "config.json").write_text(json.dumps(config))
    effconvert.convert(foreign, tmp_path / "x.pth", to="timm")
    effconvert.convert(tmp_path / "x.pth", tmp_path / "back", to="huggingface")
    said = json.loads((tmp_path / "back" / "config.json").read_text())
    assert (said["id2label"], said["label2id"]) == (config["id2label"], config["label2id"])
    effconvert.convert(foreign, tmp_path / "backbone", to="huggingface", backbone=True)
    assert "id2label" not in json.loads((tmp_path / "backbone" / "config.json").read_text())


def test_what_a_suffix_makes_unreadable_for_the_library_is_said(
    run: Callable[..., Ran], b0_file: Path, tmp_path: Path
) -> None:
    ran = run("convert", b0_file, "--to", "timm", "--out", tmp_path / "x.ckpt")
    assert "timm itself loads .safetensors, .pth, .pt, .tar, .bin" in ran.out


def test_quotes_in_a_name_are_quoted_in_the_code(b0_file: Path, tmp_path: Path) -> None:
    report = effconvert.convert(b0_file, tmp_path / 'o"q.pth', to="timm")
    compile(report.network, "code", "exec")


def test_the_same_input_gives_the_same_bytes_in_every_format(b0_file: Path, tmp_path: Path) -> None:
    outputs = {
        "timm": "x.pth",
        "mindcv": "x.ckpt",
        "keras": "x.keras",
        "huggingface": "x",
        "canonical": "x.safetensors",
    }
    for to, name in [*outputs.items(), ("keras", "x.h5"), ("keras", "x.weights.h5")]:
        written = []
        for run_number in (1, 2):
            folder = tmp_path / f"{run_number}"
            folder.mkdir(exist_ok=True)
            effconvert.convert(b0_file, folder / name, to=to, fold_eps=to == "mindcv", force=True)
            files = sorted((folder / name).iterdir()) if (folder / name).is_dir() else [folder / name]
            written.append([(file.name, file.read_bytes()) for file in files])
        assert written[0] == written[1], to


def test_what_a_file_says_of_itself_survives_every_format(b0: Path, tmp_path: Path) -> None:
    effconvert.convert(b0, tmp_path / "x.safetensors", weights="advprop")
    effconvert.convert(tmp_path / "x.safetensors", tmp_path / "x.h5", to="keras")
    effconvert.convert(tmp_path / "x.h5", tmp_path / "x.pth", to="timm")
    effconvert.convert(tmp_path / "x.pth", tmp_path / "x", to="huggingface")
    report = effconvert.convert(tmp_path / "x", tmp_path / "back.safetensors")
    assert (report.weights, report.recipe["mean"]) == ("advprop", [127.5, 127.5, 127.5])
    with effconvert.open_checkpoint(tmp_path / "back.safetensors") as checkpoint:
        source = json.loads(checkpoint.metadata["source"])
    chain = [set(source) - {"earlier"}, *map(set, source["earlier"])]
    assert chain == [
        {"model.safetensors"},
        {"x.pth"},
        {"x.h5"},
        {"x.safetensors"},
        {file.name for file in b0.iterdir()},
    ]
    assert read_all(tmp_path / "back.safetensors").keys() == read_all(tmp_path / "x.safetensors").keys()


@pytest.mark.parametrize("name", ["x.pth", "x.ckpt", "x.h5", "x.weights.h5", "x.keras", "x.safetensors"])
def test_a_value_that_was_changed_afterwards_is_found(b0_file: Path, tmp_path: Path, name: str) -> None:
    to = "keras" if name.endswith(("h5", "keras")) else "timm"
    effconvert.convert(b0_file, tmp_path / name, to=to)
    with effconvert.open_checkpoint(tmp_path / name) as checkpoint:
        tensor = next(
            name for name, info in checkpoint.tensors.items() if info.shape in ((1280, 320, 1, 1), (1, 1, 320, 1280))
        )
        wanted = checkpoint.read(tensor).tobytes()
    content = bytearray((tmp_path / name).read_bytes())
    content[content.index(wanted) + 1000] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(effconvert.errors.UnreadableCheckpoint):
        effconvert.convert(tmp_path / name, tmp_path / "out.safetensors")
    with pytest.raises(effconvert.errors.UnreadableCheckpoint):
        effconvert.load_model(tmp_path / name)

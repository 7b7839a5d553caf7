"""A folder that holds one checkpoint is that checkpoint; any other says what it is, or lists what it holds."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from effconvert.formats import Array, open_checkpoint
from helpers.formats.building import contents, expected, make_bundle, make_safetensors, make_torch, read_all, refusal
from helpers.formats.mindspore_files import value
from helpers.running import Ran

Make = Callable[[Path, dict[str, Array]], Path]
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d" * 32 + "\nsize 7\n"


def make_mindspore(path: Path, _: dict[str, Array]) -> Path:
    path.write_bytes(value("a", (2,), "Float32", bytes(8)))
    return path


@pytest.mark.parametrize("make", [make_torch, make_safetensors, make_mindspore])
@pytest.mark.parametrize("name", ["best.pth", "weights", "x.txt", "epoch=3-step=7.ckpt"])
def test_a_folder_is_the_only_checkpoint_in_it(tmp_path: Path, arrays: dict[str, Array], make: Make, name: str) -> None:
    make(tmp_path / name, arrays)
    for other in ("config.json", "log.txt", "README.md", "args.yaml", "labels.csv", "hparams.json"):
        (tmp_path / other).write_text('{"a": 1}')
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "history").mkdir()
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.path == tmp_path / name
        assert contents(checkpoint) == read_all(tmp_path / name)
        assert checkpoint.remarks == ()


def test_what_trainers_write_beside_the_weights_does_not_count(tmp_path: Path, arrays: dict[str, Array]) -> None:
    companions = (
        "optimizer.bin", "optimizer.pt", "optimizer_1.bin", "scheduler.pt", "lr_scheduler.bin", "scaler.pt",
        "rng_state.pth", "rng_state_0.pth", "random_states_0.pkl", "training_args.bin", "custom_checkpoint_0.pkl",
        "pp_rank_00_optim_states.pt", "optim.pth", ".cache.pth", "._best.pth", "sampler.bin",
    )  # fmt: skip
    for name in companions:
        make_torch(tmp_path / name, arrays)
    assert "holds no checkpoint that is read here" in refusal(tmp_path)
    make_safetensors(tmp_path / "net.safetensors", arrays)
    assert read_all(tmp_path) == expected(arrays)


def test_several_checkpoints_are_listed(tmp_path: Path, arrays: dict[str, Array]) -> None:
    make_torch(tmp_path / "best.pth", arrays)
    make_safetensors(tmp_path / "last.safetensors", arrays)
    make_bundle(tmp_path / "tensorflow" / "model.ckpt", arrays)
    message = refusal(tmp_path)
    assert "holds 3 checkpoints; give one of them:" in message
    for name in ("best.pth", "last.safetensors", "tensorflow/model.ckpt"):
        assert f"\n  {tmp_path}/{name}" in message


def test_a_file_that_cannot_be_read_does_not_count_but_is_named(tmp_path: Path, arrays: dict[str, Array]) -> None:
    whole = make_torch(tmp_path / "whole.pth", arrays)
    (tmp_path / "cut.pth").write_bytes(whole.read_bytes()[:-100])
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.path == whole
        assert checkpoint.remarks == ("cut.pth is in the folder too, and cannot be read as weights",)
    whole.unlink()
    assert "cut.pth: not a file that torch.save wrote whole" in refusal(tmp_path)


def test_files_none_of_which_can_be_read_are_all_named(tmp_path: Path, arrays: dict[str, Array]) -> None:
    for number in (1, 2):
        make_safetensors(tmp_path / f"model-0000{number}-of-00002.safetensors", arrays)
    message = refusal(tmp_path)
    assert "holds 2 files of weights, but none can be read:" in message
    assert message.count("get model.safetensors.index.json") == 2


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt.index"])
def test_weights_beside_those_that_a_library_names_are_said_to_be_passed_over(
    tmp_path: Path, arrays: dict[str, Array], name: str
) -> None:
    if name.endswith("index"):
        make_bundle(tmp_path / "model.ckpt", arrays)
    else:
        make_safetensors(tmp_path / name, arrays)
        make_torch(tmp_path / "pytorch_model.bin", arrays)  # the same weights, as the hub has them
    make_torch(tmp_path / "best.pth", arrays)
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.path == tmp_path / name
        assert checkpoint.remarks == ("best.pth is in the folder too, and was not read",)


def test_links_within_the_folder_are_one_checkpoint(tmp_path: Path, arrays: dict[str, Array]) -> None:
    make_torch(tmp_path / "epoch_3.pth", arrays)
    (tmp_path / "latest.pth").symlink_to("epoch_3.pth")
    os.link(tmp_path / "epoch_3.pth", tmp_path / "hard.pth")
    assert read_all(tmp_path) == expected(arrays)


def test_a_link_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path, arrays: dict[str, Array]) -> None:
    (tmp_path / "folder").mkdir()
    secret = make_torch(tmp_path / "secret.pth", arrays)
    (tmp_path / "folder" / "best.pth").symlink_to(secret)
    assert f"best.pth: a link that leads out of the folder; give {secret}" in refusal(tmp_path / "folder")


@pytest.mark.parametrize("name", ["model.safetensors", "weights.safetensors"])
def test_a_repository_in_the_cache_of_hugging_face_is_its_snapshot(
    tmp_path: Path, arrays: dict[str, Array], name: str
) -> None:
    repository = tmp_path / "hub" / "models--timm--efficientnet_b0.ra_in1k"
    for name_within in ("blobs", "refs", "snapshots/4d4d"):
        (repository / name_within).mkdir(parents=True)
    make_safetensors(repository / "blobs" / "0123", arrays)
    (repository / "snapshots/4d4d" / name).symlink_to("../../blobs/0123")
    for folder in (repository / "snapshots/4d4d", repository / "snapshots", repository, tmp_path / "hub"):
        with open_checkpoint(folder) as checkpoint:
            assert checkpoint.path == repository / "snapshots/4d4d" / name
    (repository / "snapshots/5e5e").mkdir()
    assert f"give one of them:\n  {repository}/snapshots/4d4d\n" in refusal(repository)
    (repository / "refs" / "main").write_text("4d4d")
    assert read_all(repository) == expected(arrays)


def test_snapshots_that_lead_in_a_circle_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "again").symlink_to(tmp_path)
    assert "holds no checkpoint" in refusal(tmp_path)


FOLDERS: dict[str, tuple[tuple[str, ...], str]] = {
    "nothing": ((), "holds no checkpoint: it is empty; give the file of the weights"),
    "DCP": ((".metadata", "__0_0.distcp", "__1_0.distcp"), "a checkpoint of torch.distributed (DCP); write it as one file, in Python:\n  from torch.distributed.checkpoint.format_utils import dcp_to_torch_save\n  dcp_to_torch_save('FOLDER', 'weights.pth')"),
    "DCP without tensors": ((".metadata",), "without its tensors (.distcp); get the whole folder"),
    "DeepSpeed": (("global_step9/mp_rank_00_model_states.pt", "latest", "zero_to_fp32.py"), "a checkpoint of DeepSpeed (ZeRO), cut into parts; join them with the program in it: python zero_to_fp32.py . weights"),
    "unpacked PyTorch": (("data.pkl", "data/0", "version"), "an unpacked PyTorch file (data.pkl and data/); pack it again without compression, in the folder above it: zip -0 -r weights.pth NAME"),
    "orbax": (("_CHECKPOINT_METADATA", "_METADATA", "d/x", "manifest.ocdbt"), "a checkpoint of JAX (orbax), which is not read here"),
    "Core ML": (("Manifest.json", "Data/x"), "a Core ML package; give the checkpoint that it was exported from"),
    "TensorFlow.js": (("model.json", "group1-shard1of1.bin"), "a TensorFlow.js model; give the checkpoint"),
    "OpenVINO": (("b0.xml", "b0.bin"), "an OpenVINO model; give the checkpoint"),
    "SavedModel": (("saved_model.pb", "assets/x"), "a TensorFlow SavedModel without its weights (variables/); get the whole folder"),
    "DCP within": (("pytorch_model_fsdp_0/.metadata", "pytorch_model_fsdp_0/__0_0.distcp", "scheduler.bin"), "pytorch_model_fsdp_0: a checkpoint of torch.distributed (DCP)"),
    "unpacked PyTorch within": (("archive/data.pkl", "archive/version"), "archive: an unpacked PyTorch file"),
    "pictures": (("a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"), "not a checkpoint but a folder of images; effconvert.validate.measure_accuracy measures with them"),
}  # fmt: skip


@pytest.mark.parametrize(("names", "words"), FOLDERS.values(), ids=FOLDERS.keys())
def test_a_folder_is_named_for_what_it_is(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\xfe\xdc\xba")
    assert words.replace("FOLDER", str(folder)).replace("NAME", "folder") in refusal(folder)


def test_what_lies_in_place_of_the_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_text(LFS)
    (tmp_path / "README.md").write_text("# EfficientNet\n")
    message = refusal(tmp_path)
    assert "\n  weights.bin: a Git LFS pointer" in message
    assert "\n  README.md" not in message
    (tmp_path / "weights.bin").rename(tmp_path / "model.safetensors")
    assert "model.safetensors: not a checkpoint but a Git LFS pointer" in refusal(tmp_path)


def test_a_folder_of_very_many_files_is_not_searched(tmp_path: Path, arrays: dict[str, Array]) -> None:
    for number in range(5001):
        (tmp_path / str(number)).touch()
    begin = time.monotonic()
    assert "holds more than 5,000 files; give the one of the weights" in refusal(tmp_path)
    make_safetensors(tmp_path / "model.safetensors", arrays)
    assert read_all(tmp_path) == expected(arrays)
    assert time.monotonic() - begin < 10


def test_a_name_with_control_characters_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[31m.txt").write_bytes(b"\xfe")
    assert "'a\\x1b[31m.txt'" in refusal(tmp_path)


def test_inspect_and_convert_take_a_folder_and_say_what_else_is_there(
    run: Callable[..., Ran], tmp_path: Path, b0: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert run("convert", b0, "--to", "timm", "--out", folder / "own.pth").exit_code == 0
    (folder / "cut.pth").write_bytes((folder / "own.pth").read_bytes()[:1000])
    ran = run("inspect", folder)
    assert "own.pth" in ran.out
    assert "cut.pth is in the folder too, and cannot be read as weights" in ran.out
    ran = run("convert", folder, "--to", "canonical", "--out", tmp_path / "back.safetensors")
    assert ran.exit_code == 0
    assert "cut.pth is in the folder too, and cannot be read as weights" in ran.out

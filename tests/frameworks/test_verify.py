"""Right conversions of the real libraries' own files are verified from the command line, each library in its process."""

import json
import os
import shutil
import subprocess
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"

import cv2
import keras
import numpy as np
import pytest
import torch

import effconvert
from effconvert.verification.runs import open_run
from helpers.deep import deep_but
from helpers.frameworks import torchvision_repair  # noqa: F401  before timm and transformers
from helpers.frameworks.calibrated_checkpoint import calibrated_state, write_checkpoint
from helpers.frameworks.torch_libraries import built, calibrated, write
from helpers.frameworks.verifying import assert_verified, effconvert_command, effconvert_served, library_file, verified

SYMMETRIC = {"padding": "symmetric", "bn_eps": 1e-5}
TENSORFLOW = {
    "b0": "efficientnet-b0",
    "cc-b0-4e": "efficientnet-condconv-b0-4e",
    "edgetpu-s": "efficientnet-edgetpu-S",
    "lite0": "efficientnet-lite0",
}


def tensorflow_file(folder, variant):
    """A checkpoint that TensorFlow wrote, its averages and its raw weights different."""
    states = [calibrated_state(variant, (96, 96), seed) for seed in (0, 1)]
    return write_checkpoint(folder / "tensorflow", TENSORFLOW[variant], *states)


@pytest.mark.parametrize("variant", deep_but(TENSORFLOW, lambda variant: variant in ("b0", "cc-b0-4e")))
def test_files_of_tensorflow(tmp_path, variant):
    document = assert_verified(f"tensorflow {variant}", tensorflow_file(tmp_path, variant))
    assert document["source"]["loader"].startswith("tf.train.load_checkpoint")


@pytest.mark.parametrize(
    ("layout", "variant", "facts"),
    deep_but(
        [
            ("timm", "b0", {}),
            ("timm", "cc-b1-8e", {}),
            ("timm", "lite0", {"in_channels": 1}),
            ("torchvision", "b0", SYMMETRIC | {"in_channels": 4}),
            ("lukemelas", "b0", {"in_channels": 6}),
            ("torchvision", "b0", SYMMETRIC),
            ("lukemelas", "b0", {}),
            ("mmpretrain", "b0", {}),
        ],
        lambda case: case[1] == "b0" and case[2] in ({}, SYMMETRIC),
    ),
    ids=str,
)
def test_files_that_pytorchs_libraries_save(tmp_path, layout, variant, facts):
    network = built(write(calibrated(variant, (96, 96), **facts), tmp_path / "written.pth", layout))
    torch.save(network.state_dict(), tmp_path / "source.pth")
    document = assert_verified(f"{layout} {variant}", tmp_path / "source.pth")
    assert document["source"]["framework"].startswith(layout)


@pytest.mark.parametrize("channels", deep_but([3, 4], lambda channels: channels == 3))
def test_folders_that_transformers_saves(tmp_path, channels):
    network = built(write(calibrated("b0", (96, 96), in_channels=channels), tmp_path / "written", "huggingface"))
    network.save_pretrained(tmp_path / "source")
    assert_verified(f"huggingface b0, {channels} channels", tmp_path / "source")


@pytest.mark.parametrize(
    ("suffix", "channels"),
    deep_but([(".weights.h5", 3), (".keras", 3), (".weights.h5", 6), (".keras", 1)], lambda case: case[1] == 3),
)
def test_files_that_keras_saves(tmp_path, suffix, channels):
    names = {}
    network = calibrated("b0", (96, 96), in_channels=channels)
    exec(write(network, tmp_path / f"written{suffix}", "keras").network, names)
    save = names["network"].save if suffix == ".keras" else names["network"].save_weights
    save(tmp_path / f"source{suffix}")
    assert_verified(f"keras b0 {suffix}, {channels} channels", tmp_path / f"source{suffix}")


def test_a_file_for_another_library_is_run_by_that_library_too(tmp_path):
    source = tensorflow_file(tmp_path, "b0")
    effconvert.convert(source, tmp_path / "timm.pth", to="timm")
    ran, document = verified(tmp_path / "timm.pth", source, "--size", 96)
    assert ran.exit_code == 0, ran.out + ran.err
    frameworks = [pair["framework"].split()[0] for pair in document["comparisons"]]
    assert frameworks == ["canonical", "timm"]


def test_an_inexact_conversion_is_told_apart_from_the_library_it_is_for(tmp_path):
    source = tensorflow_file(tmp_path, "b0")
    effconvert.convert(source, tmp_path / "torchvision.pth", to="torchvision", allow_inexact=True)
    ran, document = verified(tmp_path / "torchvision.pth", source, "--size", 96)
    assert ran.exit_code == 5
    assert [pair["same"] for pair in document["comparisons"]] == [True, False]
    assert "torchvision" in document["sentence"]


def test_a_file_that_its_library_does_not_load_is_read_for_it(tmp_path):
    network = built(write(calibrated("b0", (96, 96)), tmp_path / "written.pth", "lukemelas"))
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "source.pth")
    document = assert_verified("lukemelas b0, nested", tmp_path / "source.pth", "--size", 96)
    assert "given" in document["source"]["loader"]


def test_raw_weights_are_verified_against_the_raw_ones(tmp_path):
    source = tensorflow_file(tmp_path, "b0")
    assert_verified("tensorflow b0, raw", source, "--raw", "--size", 96, raw=True)


def test_raw_weights_are_not_the_averages_and_the_cause_is_named(tmp_path):
    source = tensorflow_file(tmp_path, "b0")
    effconvert.convert(source, tmp_path / "raw.safetensors", raw=True)
    ran, document = verified(tmp_path / "raw.safetensors", source, "--explain", "--size", 96)
    assert ran.exit_code == 5
    assert [cause["cause"] for cause in document["causes"] if cause["vanishes"]] == ["weights"]
    assert "--raw" in ran.out


def test_the_background_class_may_be_left_out(tmp_path):
    source = tensorflow_file(tmp_path, "edgetpu-s")
    document = assert_verified("edgetpu-s without background", source, "--size", 96, drop_background_class=True)
    assert any("background" in caution for caution in document["cautions"])


@pytest.mark.parametrize("dtype", deep_but(["float16", "bfloat16"], lambda dtype: dtype == "float16"))
def test_rounding_to_half_precision_is_said_and_has_its_own_tolerance(tmp_path, dtype):
    source = tensorflow_file(tmp_path, "b0")
    effconvert.convert(source, tmp_path / "half.safetensors", dtype=dtype)
    ran, document = verified(tmp_path / "half.safetensors", source, "--size", 96)
    assert ran.exit_code == 0, ran.out
    assert document["sentence"].startswith(f"same except for the rounding to {dtype}")


def test_a_fault_is_not_hidden_by_half_precision(tmp_path):
    source = tensorflow_file(tmp_path, "b0")
    effconvert.convert(source, tmp_path / "half.safetensors", dtype="bfloat16", facts={"bn_eps": 1e-5})
    ran, document = verified(tmp_path / "half.safetensors", source, "--size", 96, "--explain")
    assert ran.exit_code == 5
    assert [cause["cause"] for cause in document["causes"] if cause["vanishes"]] == ["bn_eps"]


def test_one_tensor_in_half_precision_does_not_loosen_the_others(tmp_path):
    source = tensorflow_file(tmp_path, "b0")
    effconvert.convert(source, tmp_path / "right.safetensors")
    state = effconvert.load_model(tmp_path / "right.safetensors").state_dict()
    state["head.fc.bias"] = state["head.fc.bias"].bfloat16()
    torch.save(state, tmp_path / "mixed.pth")
    assert verified(tmp_path / "mixed.pth", source, "--size", 96)[0].exit_code == 0
    state["blocks.3.project.bn.running_var"] *= 1.03
    torch.save(state, tmp_path / "wrong.pth")
    ran, document = verified(tmp_path / "wrong.pth", source, "--size", 96)
    assert ran.exit_code == 5
    assert document["comparisons"][0]["first"]["layer"] == "blocks.3"


def test_a_backbone_of_keras_ends_in_a_map(tmp_path):
    write(calibrated("b0", (96, 96), classes=0), tmp_path / "written.weights.h5", "keras")
    network = keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=(96, 96, 3))
    network.load_weights(tmp_path / "written.weights.h5")
    network.save(tmp_path / "source.keras")
    document = assert_verified("keras b0 without a top", tmp_path / "source.keras", "--size", 96)
    assert document["comparisons"][0]["only"] == {"pooled": "converted"}


def test_a_classifier_that_was_lost_is_a_difference_unless_it_was_left_out(tmp_path):
    source = tensorflow_file(tmp_path, "b0")
    effconvert.convert(source, tmp_path / "backbone.safetensors", backbone=True)
    ran, document = verified(tmp_path / "backbone.safetensors", source, "--size", 96)
    assert ran.exit_code == 5
    assert "only the reference has logits" in document["sentence"]
    assert verified(tmp_path / "backbone.safetensors", source, "--size", 96, "--backbone")[0].exit_code == 0


def test_the_document_is_the_same_every_time_but_for_its_run_block(tmp_path):
    source = tensorflow_file(tmp_path, "b0")
    effconvert.convert(source, tmp_path / "b0.safetensors")
    commands = (
        effconvert_command,
        effconvert_served,
    )  # every network in a process of its own, as users have it; served
    documents = [
        verified(tmp_path / "b0.safetensors", source, "--size", 96, command=command)[1] for command in commands
    ]
    assert documents[0].pop("run") != {}
    documents[1].pop("run")
    assert documents[0] == documents[1]


def test_real_images_go_through_the_sources_recipe(tmp_path):
    source = tensorflow_file(tmp_path, "b0")
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(3):
        picture = cv2.resize(random.integers(0, 256, (6, 8, 3), np.uint8), (400, 300), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.jpg"), picture)
    document = assert_verified("tensorflow b0, images", source, "--images", tmp_path / "images")
    assert document["inputs"]["recipe"]["name"] == "tf-official"
    assert document["inputs"]["files"] == ["0.jpg", "1.jpg", "2.jpg"]


def test_two_saved_runs_are_compared_without_a_framework(tmp_path):
    source = library_file(tmp_path, "timm", "b0", "source.pth")
    effconvert.convert(source, tmp_path / "b0.safetensors")
    runs = [tmp_path / "source.npz", tmp_path / "converted.npz"]
    assert effconvert_command("run", source, "--size", 96, "--out", runs[0]).exit_code == 0
    followed = effconvert_command("run", tmp_path / "b0.safetensors", "--follow", runs[0], "--out", runs[1])
    assert followed.exit_code == 0, followed.err
    ran = effconvert_command("compare", *runs, "--json")
    assert ran.exit_code == 0, ran.out + ran.err
    assert {row["mode"] for row in json.loads(ran.out)["comparisons"][0]["rows"]} == {"accumulated", "fed"}
    with open_run(runs[0]) as run:
        assert run.record["framework"] == "timm"


def test_a_prepared_folder_is_run_without_effconvert(tmp_path):
    source = library_file(tmp_path, "timm", "b0", "source.pth")
    prepared = effconvert_command("run", source, "--size", 96, "--prepare", tmp_path / "elsewhere")
    assert prepared.exit_code == 0, prepared.err
    shutil.copy(source, tmp_path / "elsewhere")
    command = prepared.out.strip().splitlines()[-1].split()
    done = subprocess.run([sys.executable, *command[1:]], cwd=tmp_path / "elsewhere", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with open_run(tmp_path / "elsewhere" / "run.npz") as run:
        assert run.record["framework"] == "timm"
        assert run.layers[-1] == "logits"

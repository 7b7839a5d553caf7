"""Files that Keras 2 and Keras 3 wrote are read, whichever way they name their weights."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from effconvert.formats import open_checkpoint
from helpers.formats.building import bits, contents, expected, read_all, refusal
from helpers.formats.keras_files import GOLDEN, make, plain, write_archive

NAMED = [
    "keras3_plain.h5", "keras3_plain_model.h5", "keras3_plain.weights.h5", "keras3_plain.keras",
    "keras2_plain.h5", "keras2_plain_model.h5", "keras2_plain.keras",
]  # fmt: skip
NESTED = [name.replace("plain", "nested") for name in NAMED]
TRAINED = ["keras3_trained.keras", "keras3_trained_model.h5", "keras2_trained.keras", "keras2_trained_model.h5"]


@pytest.mark.parametrize("name", NAMED)
def test_layers_and_variables_are_named_as_keras_3_does(name: str) -> None:
    assert read_all(GOLDEN / name) == expected(plain())


@pytest.mark.parametrize("name", NESTED)
def test_a_model_inside_a_model_is_named_like_one_alone(name: str) -> None:
    assert read_all(GOLDEN / name) == expected(plain(("new_head", 3)))


@pytest.mark.parametrize("name", TRAINED)
def test_the_state_of_training_is_left_out_with_its_reason(name: str) -> None:
    with open_checkpoint(GOLDEN / name) as checkpoint:
        assert contents(checkpoint) == expected(plain())
        assert "optimizer state" in set(checkpoint.skipped.values()) <= {"optimizer state", "not the weight of a layer"}


def test_layers_that_a_file_does_not_name_are_their_class_and_number() -> None:
    read = read_all(GOLDEN / "keras2_plain.weights.h5")
    by_name = expected(plain())
    convolutions = ["stem_conv", *(f"wide{number}_conv" for number in range(11))]
    for number, layer in enumerate(convolutions):
        assert read[f"conv2d_{number}/kernel" if number else "conv2d/kernel"] == by_name[f"{layer}/kernel"]
    assert read["conv2d_10/bias"] == by_name["wide9_conv/bias"]
    assert read["batch_normalization/moving_variance"] == by_name["stem_bn/moving_variance"]
    assert read["depthwise_conv2d/kernel"] == by_name["block1a_dwconv/kernel"]
    assert read["dense/bias"] == by_name["predictions/bias"]
    assert len(read) == len(by_name)


def test_unnamed_layers_of_a_model_inside_a_model_stand_under_it() -> None:
    names = read_all(GOLDEN / "keras2_nested.weights.h5").keys()
    assert {"functional/conv2d_11/kernel", "functional/normalization/mean", "dense/kernel"} <= names


def test_the_configuration_names_the_layers_that_the_weights_do_not(tmp_path: Path) -> None:
    """Keras before 3.6 wrote such archives."""
    with zipfile.ZipFile(GOLDEN / "keras3_plain.keras") as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    (tmp_path / "weights").write_bytes(records["model.weights.h5"])
    with h5py.File(tmp_path / "weights", "r+") as file:
        for group in file["layers"].values():
            del group["vars"].attrs["name"]
    records["model.weights.h5"] = (tmp_path / "weights").read_bytes()
    assert read_all(write_archive(tmp_path / "old.keras", records)) == expected(plain())


@pytest.mark.parametrize("name", [*NAMED, "keras2_plain.weights.h5"])
def test_a_file_of_keras_says_nothing_of_itself(name: str) -> None:
    with open_checkpoint(GOLDEN / name) as checkpoint:
        assert checkpoint.metadata == {}
        assert checkpoint.format.startswith("Keras")
        assert checkpoint.skipped == {}


def test_tensors_stand_in_the_order_of_the_data() -> None:
    with open_checkpoint(GOLDEN / "keras3_plain.keras") as checkpoint:
        assert list(checkpoint.tensors) == list(plain())


@pytest.mark.parametrize("name", ["keras3_plain.h5", "keras3_plain.keras"])
def test_the_checksum_is_that_of_what_is_read(name: str) -> None:
    import crc32c

    with open_checkpoint(GOLDEN / name) as checkpoint:
        for tensor in checkpoint.tensors:
            assert checkpoint.checksum(tensor) == crc32c.crc32c(checkpoint.read(tensor).tobytes())


@pytest.mark.parametrize("offset", [512, 1024, 4096])
def test_hdf5_is_found_behind_a_users_block(tmp_path: Path, offset: int) -> None:
    with h5py.File(tmp_path / "x", "w", userblock_size=offset) as file, h5py.File(GOLDEN / "keras3_plain.h5") as source:
        for name, text in source.attrs.items():
            file.attrs[name] = text
        for name in source:
            source.copy(name, file)
    assert read_all(tmp_path / "x") == expected(plain())


def test_lists_of_names_too_long_for_one_attribute_are_joined(tmp_path: Path) -> None:
    path = Path(shutil.copy(GOLDEN / "keras2_plain.h5", tmp_path / "x.h5"))
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:4], names[4:]
    assert read_all(path) == expected(plain())


def test_names_of_a_fixed_length_are_read(tmp_path: Path) -> None:
    """As h5py before 3 stored them."""
    path = Path(shutil.copy(GOLDEN / "keras2_plain.h5", tmp_path / "x.h5"))
    with h5py.File(path, "r+") as file:
        for group in (file, *file.values()):
            for name in ("layer_names", "weight_names"):
                if name in group.attrs and len(group.attrs[name]):
                    group.attrs[name] = np.array([text.encode() for text in group.attrs[name]])
    assert read_all(path) == expected(plain())


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8, np.int32, np.uint8, np.uint32, np.bool_])
def test_every_number_that_keras_has_is_read(tmp_path: Path, dtype: Any) -> None:
    array = np.random.default_rng(1).integers(0, 2, (2, 3)).astype(dtype)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("layers/dense/vars").create_dataset("0", data=array)
    assert read_all(tmp_path / "x.h5") == {"dense/kernel": bits(array)}


def test_bfloat16_is_read_from_the_bytes_that_keras_marks(tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3).astype(ml_dtypes.bfloat16)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_group("layers/dense/vars").create_dataset("0", data=array)
        dataset.attrs["dtype"] = "bfloat16"
    assert read_all(tmp_path / "x.h5") == {"dense/kernel": bits(array)}


def test_texts_and_random_states_are_skipped_with_the_reason(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_group("layers/dense/vars").create_dataset("0", data=np.ones((2, 2), np.float32))
        file.create_group("layers/string_lookup/vars").create_dataset("0", data=["a", "bc"])
        file.create_group("layers/dropout/seed_generator/vars").create_dataset("0", data=np.zeros(2, np.uint32))
    with open_checkpoint(tmp_path / "x.h5") as checkpoint:
        assert list(checkpoint.tensors) == ["dense/kernel"]
        assert checkpoint.skipped == {
            "string_lookup/0": "holds strings",
            "layers/dropout/seed_generator/vars/0": "state of a random generator",
        }


@pytest.mark.parametrize("named", [True, False])
def test_two_models_inside_one_are_told_apart_by_their_names(tmp_path: Path, named: bool) -> None:
    """By their class and number where a `.weights.h5` does not name them."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for path, model in (("functional", "first"), ("functional_1", "second")):
            for layer, name in (("dense", "predictions"), ("conv2d", "stem_conv")):
                variables = file.create_group(f"layers/{path}/layers/{layer}/vars")
                variables.create_dataset("0", data=np.ones((2, 2), np.float32))
                variables.attrs["name"] = name
            if named:
                file.create_group(f"layers/{path}/vars").attrs["name"] = model
    models = ("first", "second") if named else ("functional", "functional_1")
    layers = ("predictions/kernel", "stem_conv/kernel")
    assert read_all(tmp_path / "x.h5").keys() == {f"{model}/{layer}" for model in models for layer in layers}


def test_the_outermost_models_that_tell_two_apart_are_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for outer in ("sequential", "sequential_1"):
            group = file.create_group(f"layers/{outer}/layers/functional/layers/dense/vars")
            group.create_dataset("0", data=np.ones((2, 2), np.float32))
            group.attrs["name"] = "predictions"
    assert read_all(tmp_path / "x.h5").keys() == {"sequential/predictions/kernel", "sequential_1/predictions/kernel"}


def test_two_models_in_a_file_of_weights_by_name_are_told_apart(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["layer_names"] = [b"first", b"second", b"add"]
        file.create_group("add").attrs["weight_names"] = np.array([], np.float64)
        for model in ("first", "second"):
            names = ["stem_conv/kernel:0", "block1a_dwconv/depthwise_kernel:0"]
            file.create_group(model).attrs["weight_names"] = [name.encode() for name in names]
            for name in names:
                file[model].create_dataset(name, data=np.ones((2, 2), np.float32))
    layers = ("stem_conv/kernel", "block1a_dwconv/kernel")
    assert read_all(tmp_path / "x.h5").keys() == {f"{model}/{one}" for model in ("first", "second") for one in layers}


def test_two_weights_of_one_name_are_refused_in_words(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for layer in ("dense", "dense_1"):
            group = file.create_group(f"layers/{layer}/vars")
            group.attrs["name"] = "predictions"
            group.create_dataset("0", data=np.ones((2, 2), np.float32))
    assert "2 of its weights are called 'predictions/kernel'" in refusal(tmp_path / "x.h5")


def test_hdf5_that_is_not_keras_is_refused_in_words(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("data", data=np.ones(3))
    assert "without the layers that Keras writes" in refusal(tmp_path / "x.h5")


def test_a_configuration_runs_nothing(tmp_path: Path) -> None:
    """A Lambda layer holds marshalled code: text, here."""
    arrays = {name: array for name, array in plain().items() if name != "normalization/count"}
    path = make(tmp_path / "x.keras", arrays | {"normalization/count": np.array(1)})
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(records["config.json"])
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAAAAAAA", "defaults": None, "closure": None}}
    config["config"]["layers"].append({"class_name": "Lambda", "config": {"name": "lambda", "function": code}})
    records["config.json"] = json.dumps(config).encode()
    assert read_all(write_archive(tmp_path / "y.keras", records)).keys() == arrays.keys() | {"normalization/count"}

"""Keras's files written without Keras: read back whole, the same bytes for the same input, one tensor in memory."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest

from effconvert.formats import Array, TensorInfo, open_checkpoint
from helpers.formats.building import bits, contents, expected, peak_memory, read_all
from helpers.formats.keras_files import METADATA, WRITERS, make, plain

SUFFIXES = list(WRITERS)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tensors_and_metadata_come_back(tmp_path: Path, suffix: str) -> None:
    with open_checkpoint(make(tmp_path / f"x{suffix}", plain())) as checkpoint:
        assert contents(checkpoint) == expected(plain())
        assert checkpoint.metadata == METADATA
        assert list(checkpoint.tensors) == list(plain())
        assert checkpoint.skipped == {}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_tensors_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    one = make(tmp_path / f"one{suffix}", plain())
    two = make(tmp_path / f"two{suffix}", plain(), dict(reversed(METADATA.items())))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_texts_that_are_known_last_take_the_place_of_their_placeholders(tmp_path: Path, suffix: str) -> None:
    asked: list[str] = []

    def arrays() -> Iterator[Array]:
        for array in plain().values():
            asked.append("tensor")
            yield array

    def late() -> dict[str, str]:
        asked.append("late")
        return {"????": "1234"}

    infos = [TensorInfo(name, array.shape, array.dtype) for name, array in plain().items()]
    with (tmp_path / "x").open("w+b") as file:
        WRITERS[suffix](file, infos, arrays(), METADATA | {"digest": "????"}, late)
    assert asked == ["tensor"] * len(infos) + ["late"]
    with open_checkpoint(tmp_path / "x") as checkpoint:
        assert checkpoint.metadata == METADATA | {"digest": "1234"}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_smaller_floats_come_back(tmp_path: Path, suffix: str, dtype: Any) -> None:
    arrays = {"predictions/kernel": np.arange(6).reshape(3, 2).astype(dtype)}
    assert read_all(make(tmp_path / f"x{suffix}", arrays)) == {"predictions/kernel": bits(arrays["predictions/kernel"])}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_more_than_two_tensors_stay_in_memory(tmp_path: Path, suffix: str) -> None:
    size, count = 1 << 20, 12
    infos = [TensorInfo(f"wide{n}_conv/kernel", (1, 1, size // 4, 1), np.dtype(np.float32)) for n in range(count)]
    arrays = (np.full(info.shape, number, np.float32) for number, info in enumerate(infos))

    def write() -> None:
        with (tmp_path / "x").open("w+b") as file:
            WRITERS[suffix](file, infos, arrays, METADATA, dict)

    write_once = peak_memory(write)
    assert write_once < 4 * size


def test_the_hdf5_library_finds_what_keras_looks_for(tmp_path: Path) -> None:
    with h5py.File(make(tmp_path / "x.h5", plain())) as file:
        layers = list(dict.fromkeys(name.split("/")[0] for name in plain()))
        assert list(file.attrs["layer_names"]) == layers
        assert file.attrs["backend"] == "tensorflow"
        assert int(file.attrs["keras_version"].split(".")[0]) == 3
        for layer in layers:
            for name in file[layer].attrs["weight_names"]:
                assert bits(file[layer][name][()]) == bits(plain()[name])


def test_layers_of_a_class_are_numbered_in_order(tmp_path: Path) -> None:
    with h5py.File(make(tmp_path / "x.weights.h5", plain())) as file:
        for number in range(11):
            variables = file[f"layers/conv2d_{number + 1}/vars"]
            assert variables.attrs["name"] == f"wide{number}_conv"
            assert bits(variables["1"][()]) == bits(plain()[f"wide{number}_conv/bias"])
        assert list(file["layers/normalization/vars"]) == ["0", "1", "2"]


def test_an_archive_holds_what_keras_looks_for_and_no_more(tmp_path: Path) -> None:
    with zipfile.ZipFile(make(tmp_path / "x.keras", plain())) as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.testzip() is None
        assert json.loads(archive.read("metadata.json"))["keras_version"].startswith("3.")


@pytest.mark.parametrize("topology", ["outside", "keras", "keras-imagenet"])
@pytest.mark.parametrize("classes", [5, 0])
def test_the_graph_follows_from_the_facts_and_the_classifier(tmp_path: Path, topology: str, classes: int) -> None:
    arrays = {name: array for name, array in plain().items() if classes or "predictions" not in name}
    told = METADATA | {"variant": "b2", "facts": json.dumps({"normalization": topology})}
    with zipfile.ZipFile(make(tmp_path / "x.keras", arrays, told)) as archive:
        graph = json.loads(archive.read("config.json"))["config"]
    names = [layer["name"] for layer in graph["layers"]]
    assert graph["name"] == "efficientnetb2"
    assert graph["layers"][0]["config"]["batch_shape"] == [None, 260, 260, 3]
    assert ("rescaling_1" in names) is (topology == "keras-imagenet")
    assert graph["output_layers"][0][0] == names[-1] == ("predictions" if classes else "top_activation")
    assert not classes or graph["layers"][-1]["config"]["units"] == classes

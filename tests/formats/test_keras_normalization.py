"""The normalization of a Keras network follows from its graph, and without one from the values of its Normalization."""

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from effconvert.formats import Array
from effconvert.formats.keras.file import KerasCheckpoint
from effconvert.formats.keras.normalization import Normalization
from helpers.formats.keras_files import GOLDEN, METADATA, make, plain, write_archive

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
PIXELS = (tuple(255 * MEAN), tuple(255 * STD))


def network(variance: Array, mean: Array = MEAN) -> dict[str, Array]:
    return plain() | {
        "normalization/mean": mean.astype(np.float32),
        "normalization/variance": variance.astype(np.float32),
    }


def found(path: Path, channels: int = 3) -> Normalization:
    with KerasCheckpoint(path) as checkpoint:
        result = checkpoint.normalization(channels=channels)
        assert result is not None
        return result


def topology(name: str) -> dict[str, str]:
    return METADATA | {"facts": json.dumps({"normalization": name})}


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_without_a_graph_the_published_variance_is_a_standard_deviation(tmp_path: Path, suffix: str) -> None:
    result = found(make(tmp_path / f"x{suffix}", network(STD)))
    assert (result.topology, result.from_graph) == ("keras-imagenet", False)
    assert np.allclose((result.mean, result.std), PIXELS, rtol=1e-6)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_without_a_graph_any_other_variance_is_one(tmp_path: Path, suffix: str) -> None:
    result = found(make(tmp_path / f"x{suffix}", network(STD**2)))
    assert (result.topology, result.from_graph) == ("keras", False)
    assert np.allclose((result.mean, result.std), PIXELS, rtol=1e-6)


def test_the_graph_decides_where_there_is_one(tmp_path: Path) -> None:
    """Published weights in a network without the second Rescaling are divided by the root of the deviation only."""
    published = found(make(tmp_path / "x.keras", network(STD), topology("keras-imagenet")))
    assert (published.topology, published.from_graph) == ("keras-imagenet", True)
    assert np.allclose((published.mean, published.std), PIXELS, rtol=1e-6)
    once = found(make(tmp_path / "y.keras", network(STD), topology("keras")))
    assert (once.topology, once.from_graph) == ("keras", True)
    assert np.allclose((once.mean, once.std), (255 * MEAN, 255 * np.sqrt(STD)), rtol=1e-6)


@pytest.mark.parametrize("name", ["keras3_plain_model.h5", "keras2_plain.keras", "keras3_nested.keras", "keras2_nested_model.h5"])  # fmt: skip
def test_graphs_of_keras_itself_are_read(name: str) -> None:
    result = found(GOLDEN / name)
    values = plain()
    assert (result.topology, result.from_graph) == ("keras", True)
    assert np.allclose(result.mean, 255 * values["normalization/mean"])
    assert np.allclose(result.std, 255 * np.sqrt(values["normalization/variance"]))


def test_a_scale_other_than_one_255th_counts(tmp_path: Path) -> None:
    path = make(tmp_path / "x.keras", network(np.ones(3), np.zeros(3)), topology("keras"))
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(records["config.json"])
    (rescaling,) = [layer for layer in config["config"]["layers"] if layer["class_name"] == "Rescaling"]
    rescaling["config"] |= {"scale": 1 / 127.5, "offset": -1.0}
    records["config.json"] = json.dumps(config).encode()
    result = found(write_archive(tmp_path / "y.keras", records))
    assert np.allclose((result.mean, result.std), 127.5)


@pytest.mark.parametrize("scale", ["x", None, [1, 2], {"a": 1}])
def test_a_scale_that_is_no_number_tells_nothing(tmp_path: Path, scale: object) -> None:
    path = make(tmp_path / "x.keras", network(STD), topology("keras"))
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(records["config.json"])
    (rescaling,) = [layer for layer in config["config"]["layers"] if layer["class_name"] == "Rescaling"]
    rescaling["config"]["scale"] = scale
    records["config.json"] = json.dumps(config).encode()
    with KerasCheckpoint(write_archive(tmp_path / "y.keras", records)) as checkpoint:
        assert checkpoint.normalization() is None


def test_a_file_without_normalization_tells_nothing(tmp_path: Path) -> None:
    arrays = {name: array for name, array in plain().items() if "normalization" not in name}
    with KerasCheckpoint(make(tmp_path / "x.h5", arrays)) as checkpoint:
        assert checkpoint.normalization() is None


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("channels", [1, 4])
def test_there_is_a_number_for_each_channel(tmp_path: Path, suffix: str, channels: int) -> None:
    mean, std = np.linspace(0.2, 0.6, channels), np.linspace(0.1, 0.4, channels)
    kernel = {"stem_conv/kernel": np.ones((3, 3, channels, 4), np.float32)}
    result = found(make(tmp_path / f"x{suffix}", network(std**2, mean) | kernel, topology("keras")), channels)
    assert np.allclose((result.mean, result.std), (255 * mean, 255 * std), rtol=1e-6)
    if suffix == ".keras":
        with zipfile.ZipFile(tmp_path / "x.keras") as archive:
            config = json.loads(archive.read("config.json"))
        assert config["config"]["layers"][0]["config"]["batch_shape"] == [None, 224, 224, channels]


@pytest.mark.parametrize("channels", [3, 4])
def test_a_mean_and_a_variance_of_different_channels_tell_nothing(tmp_path: Path, channels: int) -> None:
    with KerasCheckpoint(make(tmp_path / "x.h5", network(np.ones(4)))) as checkpoint:
        assert checkpoint.normalization(channels=channels) is None


def test_a_sessions_later_network_is_read_as_well(tmp_path: Path) -> None:
    path = make(
        tmp_path / "x.h5", {name.replace("normalization/", "normalization_3/"): a for name, a in plain().items()}
    )
    with h5py.File(path) as file:
        assert "normalization_3" in file
    assert found(path).topology == "keras"

"""Files that effconvert wrote are read by TensorFlow: the official names, and the bytes TensorFlow would write."""

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

import effconvert
from effconvert.formats.checkpoint import TensorInfo
from effconvert.formats.tensorflow.bundle import write_bundle
from helpers import official_weights
from helpers.deep import deep_but
from helpers.frameworks.tensorflow_files import BLOCK, differences, many_tensors, read_with_tensorflow, save, succeed
from helpers.frameworks.training_graph import restored, restored_averages
from helpers.official_weights import AVERAGE

MODELS = {
    "b0": "efficientnet-b0",
    "lite0": "efficientnet-lite0",
    "cc-b0-4e": "efficientnet-condconv-b0-4e",
    "edgetpu-s": "efficientnet-edgetpu-S",
}
NAMES = ("raw", "average", "both")
FILES = ("model.ckpt.index", "model.ckpt.data-00000-of-00001")


class Written:
    """A variant's official weights, converted to PyTorch and back to TensorFlow under all kinds of names."""

    def __init__(self, variant, folder):
        self.model = MODELS[variant]
        self.shapes = official_weights.all_shapes()[self.model]
        values = official_weights.checkpoint(self.model)
        self.averages = {name: values[name + AVERAGE] for name in self.shapes}
        canonical = folder / f"{variant}.safetensors"
        effconvert.convert(save(folder / "official", values), canonical)
        self.folders = {names: folder / names for names in NAMES}
        for names, output in self.folders.items():
            succeed("pt2tf", canonical, "--out", output, "--names", names)

    def expected(self, names):
        """{name: value} that the checkpoint must hold: the averages, under the names that were asked for."""
        values = {"global_step": np.array(0, np.int64)}
        if names != "average":
            values |= self.averages
        if names != "raw":
            values |= {name + AVERAGE: value for name, value in self.averages.items()}
        return values


@pytest.fixture(scope="module", params=deep_but(MODELS, lambda variant: variant in ("b0", "lite0")))
def written(request, tmp_path_factory):
    return Written(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("names", NAMES)
def test_tensorflow_reads_every_value_bit_for_bit_under_its_official_name(written, names):
    assert differences(read_with_tensorflow(written.folders[names]), written.expected(names)) == []


@pytest.mark.parametrize("names", NAMES)
def test_tensorflow_lists_the_official_names_and_shapes(written, names):
    listed = {name: tuple(shape) for name, shape in tf.train.list_variables(str(written.folders[names]))}
    assert listed == {name: value.shape for name, value in written.expected(names).items()}


@pytest.mark.parametrize("names", ["average", "both"])
def test_the_official_evaluation_restores_the_averages(written, names):
    assert differences(restored_averages(written.folders[names], written.shapes), written.averages) == []


@pytest.mark.parametrize("names", ["raw", "both"])
def test_a_plain_saver_restores_the_variables(written, names):
    assert differences(restored(written.folders[names], written.shapes), written.averages) == []


@pytest.mark.parametrize("names", NAMES)
def test_both_files_are_byte_for_byte_what_tensorflow_writes(written, names, tmp_path):
    save(tmp_path, written.expected(names))
    assert unequal_files(written.folders[names], tmp_path) == []


def test_an_index_of_several_blocks_is_byte_for_byte_what_tensorflow_writes(tmp_path):
    write_with_effconvert(tmp_path / "ours", many_tensors())
    save(tmp_path / "theirs", many_tensors())
    assert (tmp_path / "theirs" / FILES[0]).stat().st_size > 3 * BLOCK
    assert unequal_files(tmp_path / "ours", tmp_path / "theirs") == []


def test_a_block_of_the_index_ends_where_tensorflow_ends_it_to_the_byte(tmp_path):
    sizes = []
    for extra in range(200):  # at one of these lengths the first block is full, to the byte
        names = [f"{number:03}" + "x" * 3800 for number in range(67)] + ["067" + "x" * (6100 + extra), "068", "069"]
        write_with_effconvert(tmp_path / f"ours_{extra}", {name: np.zeros((), np.float32) for name in names})
        save(tmp_path / f"theirs_{extra}", {name: np.zeros((), np.float32) for name in names})
        assert unequal_files(tmp_path / f"ours_{extra}", tmp_path / f"theirs_{extra}") == []
        sizes.append((tmp_path / f"theirs_{extra}" / FILES[0]).stat().st_size)
    assert max(np.diff(sizes)) > 1  # here a second block began


def test_tensors_of_other_dtypes_and_sizes_are_byte_for_byte_what_tensorflow_writes(tmp_path):
    dtypes = [np.float16, ml_dtypes.bfloat16, np.float64, np.int64, np.bool_, np.uint8, np.complex64]
    tensors = {f"scope/{np.dtype(dtype).name}": np.arange(6).reshape(2, 3).astype(dtype) for dtype in dtypes}
    tensors |= {"empty": np.zeros((3, 0, 2), np.float32), "scalar": np.array(2.5, np.float32), "Ünicode": np.ones(1)}
    write_with_effconvert(tmp_path / "ours", tensors)
    save(tmp_path / "theirs", tensors)
    assert unequal_files(tmp_path / "ours", tmp_path / "theirs") == []


def write_with_effconvert(folder, tensors):
    folder.mkdir()
    ordered = sorted(tensors, key=str.encode)
    infos = [TensorInfo(name, tensors[name].shape, tensors[name].dtype) for name in ordered]
    with (folder / FILES[0]).open("wb") as index, (folder / FILES[1]).open("wb") as data:
        write_bundle(data, index, infos, (tensors[name] for name in ordered))


def unequal_files(ours, theirs):
    return [name for name in FILES if (ours / name).read_bytes() != (theirs / name).read_bytes()]

"""Files of MindSpore are read by effconvert bit for bit, and files of effconvert by MindSpore."""

import mindspore
import ml_dtypes
import numpy as np
import pytest
from mindspore import nn, ops
from mindspore.train import serialization

from effconvert import open_checkpoint
from effconvert.formats.checkpoint import TensorInfo
from effconvert.formats.mindspore import file as mindspore_format
from effconvert.formats.mindspore.file import write_mindspore
from helpers.frameworks.mindspore_libraries import bits, values

KEY = b"0123456789abcdef"
METADATA = {"variant": "b0", "ключ": 'a "quoted"\nline', "mark": "crc_num12345678"}
SAVED = {
    "plain": {},
    "with a checksum": {"crc_check": True},
    "AES-GCM": {"enc_key": KEY, "enc_mode": "AES-GCM"},
    "AES-GCM, 32 bytes": {"enc_key": KEY * 2, "enc_mode": "AES-GCM"},
    "AES-CBC": {"enc_key": KEY, "enc_mode": "AES-CBC"},
    "SM4-CBC": {"enc_key": KEY, "enc_mode": "SM4-CBC"},
    "with counters and texts": {
        "append_dict": {"epoch_num": 3, "lr": 0.1, "flag": True, "note": "héllo 你好", "none": ""}
    },
    "safetensors": {"format": "safetensors"},
    "safetensors with a checksum": {"format": "safetensors", "crc_check": True},
}
DTYPES = [
    *(np.float32, np.float16, ml_dtypes.bfloat16, np.float64, np.bool_),
    *(np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
]


class Network(nn.Cell):
    """A convolution, a BatchNorm and a classifier: every kind of parameter that an EfficientNet has."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Dense(8, 5)

    def construct(self, x):
        return self.fc(ops.mean(self.bn(self.conv(x)), (2, 3)))


def held(parameters):
    """{name: bits} of a list of parameters."""
    return {parameter.name: bits(values(parameter)) for parameter in parameters}


def read(path, key=None):
    """{name: bits} of what effconvert reads."""
    with open_checkpoint(path, key) as checkpoint:
        return {name: bits(checkpoint.read(name)) for name in checkpoint.tensors}


def write(path, arrays, metadata=None):
    infos = [TensorInfo(name, array.shape, array.dtype) for name, array in arrays.items()]
    with path.open("wb") as file:
        write_mindspore(file, infos, arrays.values(), metadata or {}, dict)
    return path


def loaded(path, **options):
    """{name: bits} of what MindSpore reads."""
    return {
        name: bits(values(parameter)) for name, parameter in mindspore.load_checkpoint(str(path), **options).items()
    }


@pytest.mark.parametrize("options", SAVED.values(), ids=SAVED)
def test_what_it_saves_is_read_bit_for_bit(tmp_path, options):
    network = Network()
    path = tmp_path / f"x.{options.get('format', 'ckpt')}"
    mindspore.save_checkpoint(network, str(path), **options)
    found = read(path, options.get("enc_key"))
    wanted = held(network.get_parameters())
    added = options.get("append_dict", {})
    assert {name: found[name] for name in wanted} == wanted
    assert found.keys() - wanted.keys() == {name for name, value in added.items() if not isinstance(value, str)}
    if "format" not in options:
        assert list(found)[: len(wanted)] == list(wanted)


def test_counters_and_texts_are_told_from_weights(tmp_path):
    mindspore.save_checkpoint(Network(), str(tmp_path / "x.ckpt"), **SAVED["with counters and texts"])
    with open_checkpoint(tmp_path / "x.ckpt") as checkpoint:
        added = {name: checkpoint.read(name)[()] for name in ("epoch_num", "lr", "flag")}
        assert added == {"epoch_num": 3, "lr": np.float32(0.1), "flag": True}
        assert checkpoint.skipped == {"note": "a string: 'héllo 你好'", "none": "a string: ''"}


@pytest.mark.parametrize("asynchronous", [False, "thread"])
def test_slices_are_joined(tmp_path, monkeypatch, asynchronous):
    monkeypatch.setattr(serialization, "SLICE_SIZE", 1)  # kB
    large = mindspore.Parameter(
        mindspore.Tensor(np.random.RandomState(0).normal(size=(37, 5, 7)).astype(np.float32)), name="x"
    )
    mindspore.save_checkpoint([{"name": "x", "data": large}], str(tmp_path / "x.ckpt"), async_save=asynchronous)
    serialization._async_save_close()
    assert (tmp_path / "x.ckpt").read_bytes().count(b"Float32") == 6
    assert read(tmp_path / "x.ckpt") == {"x": bits(large.asnumpy())}


@pytest.mark.parametrize("optimizer", [nn.Momentum, nn.Adam, nn.RMSProp, nn.SGD, nn.AdamWeightDecay])
def test_a_training_checkpoint_is_read_with_what_the_optimizer_added(tmp_path, optimizer):
    network = Network()
    options = {"momentum": 0.9} if optimizer in (nn.Momentum, nn.SGD) else {}
    made = optimizer(network.trainable_params(), learning_rate=0.01, **options)
    step = nn.TrainOneStepCell(nn.WithLossCell(network, nn.SoftmaxCrossEntropyWithLogits(sparse=True)), made)
    images = mindspore.Tensor(np.random.RandomState(0).normal(size=(2, 3, 8, 8)).astype(np.float32))
    step(images, mindspore.Tensor(np.array([1, 2], np.int32)))
    mindspore.save_checkpoint(step, str(tmp_path / "x.ckpt"))
    assert read(tmp_path / "x.ckpt") == held(step.get_parameters())
    assert len(held(step.get_parameters())) > len(held(network.get_parameters()))


@pytest.mark.parametrize("kind", [mindspore.float16, mindspore.bfloat16])
def test_weights_of_half_the_size_are_read(tmp_path, kind):
    network = Network().to_float(kind)
    for parameter in network.get_parameters():
        parameter.set_dtype(kind)
    mindspore.save_checkpoint(network, str(tmp_path / "x.ckpt"))
    assert read(tmp_path / "x.ckpt") == held(network.get_parameters())


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_what_is_written_is_loaded_bit_for_bit_and_its_description_ignored(tmp_path, dtype):
    raw = np.random.default_rng(2).integers(0, 2, 96, np.uint8)
    arrays = {
        "matrix": raw.view(dtype).reshape(2, -1),
        "one": raw[:8].view(dtype)[:1],
        "scalar": raw[:8].view(dtype)[0].reshape(()),
    }
    path = write(tmp_path / "x.ckpt", arrays, METADATA)
    assert loaded(path) == {name: bits(array) for name, array in arrays.items()}
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.metadata == METADATA


def test_what_is_written_in_slices_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(mindspore_format, "_SLICE", 1000)
    arrays = {
        "a": np.ones(3, np.float32),
        "x": np.random.RandomState(0).normal(size=(37, 5, 7)),
        "z": np.zeros(2, np.int8),
    }
    assert loaded(write(tmp_path / "x.ckpt", arrays, METADATA)) == {name: bits(array) for name, array in arrays.items()}


@pytest.mark.parametrize("checked", [False, True])
def test_what_is_written_has_no_checksum_that_could_be_wrong(tmp_path, checked):
    arrays = {"x": np.frombuffer(b"crc_num0000000000000"[:20], np.float32)}
    path = write(tmp_path / "x.ckpt", arrays)
    assert loaded(path, crc_check=checked) == {"x": bits(arrays["x"])}


def test_the_bytes_are_those_of_mindspore(tmp_path):
    network = Network()
    mindspore.save_checkpoint(network, str(tmp_path / "theirs.ckpt"))
    arrays = {parameter.name: parameter.asnumpy() for parameter in network.get_parameters()}
    theirs = (tmp_path / "theirs.ckpt").read_bytes()
    assert write(tmp_path / "ours.ckpt", arrays).read_bytes().startswith(theirs)

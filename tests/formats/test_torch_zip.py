"""PyTorch's zip format: torch reads what is written here, and what torch saves is read, whatever its strides."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from effconvert.formats import Array, open_checkpoint
from effconvert.formats.torch.file import write_torch
from helpers.formats.building import bits, contents, examples, expected, infos_of, make_torch, read_all
from helpers.formats.torch_files import DTYPES, as_numpy, assert_read, tensors_of


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_torch_reads_what_is_written(tmp_path: Path, dtype: torch.dtype, mmap: bool) -> None:
    tensors = tensors_of(dtype)
    path = make_torch(tmp_path / "x.pth", {name: as_numpy(tensor) for name, tensor in tensors.items()})
    back = torch.load(path, weights_only=True, mmap=mmap)
    assert list(back) == list(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_torch_saves_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save(tensors_of(dtype), tmp_path / "x.pth")
    assert_read(tmp_path / "x.pth", tensors_of(dtype))


def test_what_is_written_is_read(torch_file: Path, arrays: dict[str, Array]) -> None:
    assert read_all(torch_file) == expected(arrays)


@examples(40)
@given(array=arrays_of.arrays(st.sampled_from([np.float32, np.int64, np.float16]), arrays_of.array_shapes(min_dims=0)))
def test_arbitrary_tensors_come_back(tmp_path: Path, array: Array) -> None:
    path = make_torch(tmp_path / "x.pth", {"x": array})
    assert read_all(path) == expected({"x": array})
    assert bits(torch.load(path, weights_only=True)["x"].numpy()) == bits(array)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_torch_is_read(tmp_path: Path, protocol: int) -> None:
    tensors = tensors_of(torch.float32)
    torch.save(tensors, tmp_path / "x.pth", pickle_protocol=protocol)
    assert_read(tmp_path / "x.pth", tensors)


def test_the_state_dict_of_a_module_is_read(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
    torch.save(module.state_dict(), tmp_path / "x.pth")
    assert "_metadata" in vars(module.state_dict())
    assert_read(tmp_path / "x.pth", module.state_dict())


def test_views_are_read(tmp_path: Path) -> None:
    base = torch.arange(120, dtype=torch.float32).reshape(4, 5, 6)
    tensors = {
        "offset": base[2],
        "strided": base[:, ::2, 1::3],
        "transposed": base.transpose(0, 2),
        "diagonal": base[0].diagonal(),
        "expanded": torch.ones(1, 3).expand(4, 3),
        "last": base[3, 4, 5],
        "channels last": base.reshape(1, 4, 5, 6).contiguous(memory_format=torch.channels_last),
        "empty at the end": base[4:],
        "one row": base[3:, 4:, :],
    }
    torch.save(tensors, tmp_path / "x.pth")
    assert_read(tmp_path / "x.pth", tensors)


def test_tensors_of_one_storage_are_read(tmp_path: Path) -> None:
    weight = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    tensors = {"tied": weight, "to": weight, "transposed": weight.t(), "row": weight[1]}
    torch.save(tensors, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.pth") as archive:
        assert sum("/data/" in name for name in archive.namelist()) == 1
    assert_read(tmp_path / "x.pth", tensors)


def test_nan_payloads_and_negative_zero_are_kept(tmp_path: Path) -> None:
    words = np.array([0x7FC00001, 0xFFC12345, 0x7F800001, 0x80000000], np.uint32).view(np.float32)
    path = make_torch(tmp_path / "x.pth", {"x": words})
    assert read_all(path)["x"] == bits(words)
    assert bits(torch.load(path, weights_only=True)["x"].numpy()) == bits(words)


def test_what_is_read_cannot_be_written_to(tmp_path: Path) -> None:
    torch.save({"whole": torch.ones(2, 3), "copied": torch.ones(2, 3).t(), "empty": torch.ones(0)}, tmp_path / "x.pth")
    with open_checkpoint(tmp_path / "x.pth") as checkpoint:
        read = [checkpoint.read(name) for name in checkpoint.tensors]
    assert not any(array.flags.writeable for array in read)
    assert all(array.flags.c_contiguous for array in read)


def test_records_begin_at_multiples_of_64(torch_file: Path) -> None:
    content = torch_file.read_bytes()
    with zipfile.ZipFile(torch_file) as archive:
        for info in archive.infolist():
            name, extra = (int.from_bytes(content[info.header_offset + at :][:2], "little") for at in (26, 28))
            assert (info.header_offset + 30 + name + extra) % 64 == 0
            assert info.compress_type == zipfile.ZIP_STORED


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path, arrays: dict[str, Array]) -> None:
    metadata = {"b": "2", "a": "1"}
    one = make_torch(tmp_path / "one", arrays, metadata).read_bytes()
    assert one == make_torch(tmp_path / "two", arrays, dict(sorted(metadata.items()))).read_bytes()


def test_metadata_comes_back_and_torch_ignores_it(tmp_path: Path, arrays: dict[str, Array]) -> None:
    metadata = {"variant": "b0", "note": 'ключ "x"\n'}
    path = make_torch(tmp_path / "x.pth", arrays, metadata)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.metadata == metadata
    assert list(torch.load(path, weights_only=True)) == list(arrays)


def test_texts_that_are_known_last_take_the_place_of_their_placeholders(tmp_path: Path) -> None:
    arrays = {"x": np.ones(2, np.float32)}
    file = io.BytesIO()
    write_torch(file, infos_of(arrays), arrays.values(), {"digest": "????"}, lambda: {"????": "1234"})
    (tmp_path / "x.pth").write_bytes(file.getvalue())
    with open_checkpoint(tmp_path / "x.pth") as checkpoint:
        assert checkpoint.metadata == {"digest": "1234"}
        assert contents(checkpoint) == expected(arrays)


def test_a_parameter_beyond_two_to_the_31_is_named_in_the_pickle(tmp_path: Path) -> None:
    """Sizes of 2**31 and more take another instruction; an empty tensor has them without the data."""
    arrays = {"x": np.empty((0, 1 << 33), np.float32)}
    path = make_torch(tmp_path / "x.pth", arrays)
    assert torch.load(path, weights_only=True)["x"].shape == (0, 1 << 33)
    assert read_all(path) == expected(arrays)

"""The form of torch.save before PyTorch 1.6: read as torch reads it, and refused when it lies about its storages."""

import io
import pickle
import random
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from effconvert.formats import open_checkpoint
from helpers.formats.building import bits, expected, peak_memory, read_all, refusal
from helpers.formats.pickles import VALUES, found, integer, integers, state_dict, storage, tensor, text, write_legacy
from helpers.formats.torch_files import DTYPES, as_numpy, assert_read, tensors_of

GOOD = state_dict(tensor())


def save(value: object, path: Path, protocol: int = 2) -> Path:
    torch.save(value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    return path


@pytest.mark.parametrize("dtype", [*DTYPES, torch.complex64, torch.complex128, torch.uint16], ids=str)
def test_what_torch_saves_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    assert_read(save(tensors_of(dtype), tmp_path / "x.pth"), tensors_of(dtype))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_torch_is_read(tmp_path: Path, protocol: int) -> None:
    tensors = tensors_of(torch.float32)
    assert_read(save(tensors, tmp_path / "x.pth", protocol), tensors)


def test_a_file_that_is_no_file_of_the_system_is_written_alike(tmp_path: Path) -> None:
    """torch writes the storages another way when it cannot write into the file itself."""
    tensors = tensors_of(torch.float32)
    buffer = io.BytesIO()
    torch.save(tensors, buffer, _use_new_zipfile_serialization=False)
    (tmp_path / "x.pth").write_bytes(buffer.getvalue())
    assert_read(tmp_path / "x.pth", tensors)


def test_views_and_shared_storages_are_read(tmp_path: Path) -> None:
    base = torch.arange(1001 * 4, dtype=torch.float32).reshape(1001, 4)
    tensors = {"head": base[1:], "whole": base, "turned": base.t(), "row": base[7], "every other": base[::2, ::2]}
    path = save(tensors, tmp_path / "x.pth")
    assert path.stat().st_size < 20_000
    assert_read(path, tensors)


def test_the_format_is_named(tmp_path: Path) -> None:
    with open_checkpoint(save({"x": torch.ones(2)}, tmp_path / "x.pth")) as checkpoint:
        assert checkpoint.format == "PyTorch before 1.6"
        assert checkpoint.metadata == {}


def test_opening_reads_no_numbers(tmp_path: Path) -> None:
    path = save({"x": torch.zeros(4 << 20), "y": torch.ones(2)}, tmp_path / "x.pth")
    assert peak_memory(lambda: open_checkpoint(path).close()) < 1 << 20


def view(begin: int, count: int) -> bytes:
    """Return the instructions for a storage of four floats and a view of it."""
    seen = b"(" + text("view") + integers(begin, count)[1:]
    return b"(" + text("storage") + found("torch", "FloatStorage") + text("0") + text("cpu") + integer(4) + seen + b"tQ"


def test_a_view_of_a_storage_is_read(tmp_path: Path) -> None:
    """torch before 0.4 wrote them, and torch reads them still."""
    path = write_legacy(tmp_path / "x.pth", state_dict(tensor(integers(2), held=view(1, 3), offset=integer(1))))
    whole = np.frombuffer(VALUES, np.float32)
    assert read_all(path) == expected({"x": whole[2:]})
    assert bits(torch.load(path, weights_only=True)["x"].numpy()) == bits(whole[2:])


@pytest.mark.parametrize(("begin", "count"), [(0, 5), (4, 1), (1 << 70, 1), (-1, 2)])
def test_a_view_outside_of_its_storage_is_refused(tmp_path: Path, begin: int, count: int) -> None:
    held = view(begin, count)
    assert "view of" in refusal(write_legacy(tmp_path / "x.pth", state_dict(tensor(integers(1), held=held))))


def test_a_tensor_may_not_reach_over_its_view(tmp_path: Path) -> None:
    path = write_legacy(tmp_path / "x.pth", state_dict(tensor(integers(3), held=view(1, 2))))
    assert "exceeds its storage of 2" in refusal(path)


def test_a_storage_may_not_have_two_types(tmp_path: Path) -> None:
    other = storage().replace(b"FloatStorage", b"IntStorage")
    pickled = state_dict(tensor(), behind=text("y") + tensor(held=other) + b"s")
    assert "in two ways" in refusal(write_legacy(tmp_path / "x.pth", pickled))


@pytest.mark.parametrize("count", [0, 3, 5, 1 << 40, (1 << 64) - 1])
def test_a_storage_of_another_size_than_it_says_is_refused(tmp_path: Path, count: int) -> None:
    path = write_legacy(tmp_path / "x.pth", GOOD, count.to_bytes(8, "little") + VALUES)
    assert peak_memory(lambda: refusal(path)) < 1 << 20
    assert "where storage 0 has 4 in 16 bytes" in refusal(path)


def test_a_storage_larger_than_the_file_takes_no_memory(tmp_path: Path) -> None:
    count = 1 << 33
    pickled = state_dict(tensor(integers(1), held=storage(integer(count))))
    path = write_legacy(tmp_path / "x.pth", pickled, count.to_bytes(8, "little"))
    assert peak_memory(lambda: refusal(path)) < 1 << 20
    assert "damaged or cut off" in refusal(path)


def test_bytes_behind_the_last_storage_are_refused(tmp_path: Path) -> None:
    path = write_legacy(tmp_path / "x.pth", GOOD, (4).to_bytes(8, "little") + VALUES + b"more")
    assert "4 bytes follow the last storage" in refusal(path)


@pytest.mark.parametrize("keys", [[], ["1"], ["0", "0"], ["0", "1"], [0], "0", None, {"0": 1}])
def test_other_storages_than_the_pickle_names_are_refused(tmp_path: Path, keys: object) -> None:
    assert "storages" in refusal(write_legacy(tmp_path / "x.pth", GOOD, keys=pickle.dumps(keys, 2)))


@pytest.mark.parametrize("system", [{"little_endian": False}, {}, {"little_endian": 1}, [], None])
def test_another_byte_order_is_refused(tmp_path: Path, system: object) -> None:
    assert "big-endian" in refusal(write_legacy(tmp_path / "x.pth", GOOD, system=pickle.dumps(system, 2)))


def test_another_protocol_of_torch_is_refused(tmp_path: Path) -> None:
    path = write_legacy(tmp_path / "x.pth", GOOD, protocol=pickle.dumps(1002, 2))
    assert "has the form 1002, expected 1001" in refusal(path)


@pytest.mark.parametrize("first", ["sys_info", "pickle", "tensors", "storages"])
def test_the_tar_files_before_0_2_are_refused_in_words(tmp_path: Path, first: str) -> None:
    with tarfile.open(tmp_path / "x.pth.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(["sys_info", "pickle", "tensors", "storages"], key=lambda name: name != first):
            tar.addfile(tarfile.TarInfo(name))
    assert "a tar file of PyTorch before 0.2; load it in torch and torch.save it again" in refusal(
        tmp_path / "x.pth.tar"
    )


def test_a_zip_file_called_tar_is_a_zip_file(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(2)}, tmp_path / "x.pth.tar")
    with open_checkpoint(tmp_path / "x.pth.tar") as checkpoint:
        assert checkpoint.format == "PyTorch zip"


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    path = save(tensors_of(torch.float32), tmp_path / "x.pth")
    content = path.read_bytes()
    for length in [*random.Random(3).sample(range(len(content)), 199), len(content) - 1]:
        path.write_bytes(content[:length])
        refusal(path)


def test_what_is_read_is_what_torch_reads(tmp_path: Path) -> None:
    path = save(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).state_dict(), tmp_path / "x.pth")
    loaded = torch.load(path, weights_only=True)
    assert read_all(path) == expected({name: as_numpy(value) for name, value in loaded.items()})

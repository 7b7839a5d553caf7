"""What the libraries write is read: their padding, descriptors, compression and sizes beyond 32 bits."""

import io
import struct
import zipfile
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import open_checkpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.npz import NpzArchive
from effconvert.formats.zip_directory import ZipError, read_directory, read_record
from helpers.formats.malformed_zips import Part, build, zip64

VALUES = {"w": torch.arange(6.0).reshape(2, 3), "half": torch.ones(5, dtype=torch.float16), "one": torch.tensor(7)}


def same(path: Path) -> bool:
    with open_checkpoint(path) as checkpoint:
        found = {name: checkpoint.read(name) for name in checkpoint.tensors}
    return found.keys() == VALUES.keys() and all(np.array_equal(found[name], VALUES[name].numpy()) for name in found)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ["x.pth", "name with spaces.bin", "имя.pt", "x"])
def test_what_torch_saves_is_read(tmp_path: Path, name: str, protocol: int) -> None:
    torch.save(VALUES, tmp_path / name, pickle_protocol=protocol)
    assert same(tmp_path / name)


def test_what_torch_saves_into_a_file_object_is_read(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save(VALUES, file)
    (tmp_path / "x.pth").write_bytes(file.getvalue())
    assert same(tmp_path / "x.pth")


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_any_padding_of_torch_is_read(tmp_path: Path, alignment: int) -> None:
    from torch.utils.serialization import config

    before = config.save.storage_alignment
    config.save.storage_alignment = alignment
    try:
        torch.save(VALUES, tmp_path / "x.pth")
    finally:
        config.save.storage_alignment = before
    assert same(tmp_path / "x.pth")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_saves_is_read(tmp_path: Path, save: object) -> None:
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array("run"),
        "texts": np.array(["a", "äöü"]),
        "empty": np.zeros((0, 4), np.float32),
        "layer/blocks.0": np.random.default_rng(0).random(100_000),
        "A": np.array(1),
    }
    save(tmp_path / "x.npz", **arrays)  # type: ignore[operator]
    with DataFile(tmp_path / "x.npz") as file:
        archive = NpzArchive(file)
        assert archive.names == tuple(arrays)
        for name, array in arrays.items():
            assert archive.header(name) == (array.shape, array.dtype)
            assert np.array_equal(archive.read(name), array)
            assert archive.read(name).flags.writeable


def test_what_python_writes_into_a_pipe_is_read(tmp_path: Path) -> None:
    """Sizes are then behind the data."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        pipe = Pipe()
        with zipfile.ZipFile(pipe, "w", method) as archive:
            archive.writestr("a", b"x" * 1000)
            archive.mkdir("folder") if hasattr(archive, "mkdir") else archive.writestr("folder/", b"")
            archive.writestr("folder/b", b"")
        (tmp_path / "x.zip").write_bytes(pipe.getvalue())
        with DataFile(tmp_path / "x.zip") as file:
            records = read_directory(file)
            assert list(records) == ["a", "folder/b"]
            assert read_record(file, records["a"]) == b"x" * 1000


def test_sizes_and_places_beyond_4_gb_are_read(tmp_path: Path) -> None:
    """The layout of torch, in a file with a hole: a record of 5 GB, and one behind it."""
    large = 5 << 30
    sizes = {"crc": 0, "packed": 0, "size": 0, "flags": 8}
    head = Part(b"a/data/0", b"", {**sizes, "extra_length": 20}, entry={"flags": 8}, header_extra=zip64(large, large))
    start = build([head])[: 30 + len(head.name) + 20]
    offset = len(start) + large + 24
    tail = build([Part(b"a/data/1", b"tail")])[: 30 + 8 + 4]
    entries = build(
        [
            Part(b"a/data/0", b"", entry={"flags": 8, "size": 0xFFFFFFFF, "packed": 0xFFFFFFFF}, entry_extra=zip64(large, large)),
            Part(b"a/data/1", b"tail", entry={"offset": 0xFFFFFFFF}, entry_extra=zip64(offset)),
        ]
    )  # fmt: skip
    directory = entries[entries.index(b"PK\x01\x02") : -22]
    place = offset + len(tail)
    with (tmp_path / "x.zip").open("wb") as file:
        file.write(start)
        file.seek(large, 1)
        file.write(b"PK\x07\x08" + struct.pack("<LQQ", 0, large, large))
        file.write(tail + directory)
        file.write(b"PK\x06\x06" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, 2, 2, len(directory), place))
        file.write(b"PK\x06\x07" + struct.pack("<LQL", 0, place + len(directory), 1))
        file.write(b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, 2, 2, len(directory), 0xFFFFFFFF, 0))
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert [info.file_size for info in archive.infolist()] == [large, 4]
    with DataFile(tmp_path / "x.zip") as data:
        records = read_directory(data)
        assert records["a/data/0"].size == large
        assert read_record(data, records["a/data/1"]) == b"tail"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_s4_a_record_that_unpacks_to_more_than_it_declares_takes_no_memory(tmp_path: Path, method: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a", bytes(64 << 20))
        info = archive.getinfo("a")
    packed = file.getvalue()[31 : 31 + info.compress_size]
    lie = Part(b"a", packed).both(size=1000, crc=crc32(bytes(1000)), method=method)
    (tmp_path / "x.zip").write_bytes(build([lie]))
    with DataFile(tmp_path / "x.zip") as data:
        record = read_directory(data)["a"]
        with pytest.raises(ZipError, match=r"does not unpack to the 1,000 bytes|is not read"):
            read_record(data, record)


def test_a_directory_of_a_hundred_thousand_records_is_not_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        for number in range(90_000):
            archive.writestr(f"a/{number}", b"")
    with pytest.raises(UnreadableCheckpoint, match="its directory declares"):
        open_checkpoint(tmp_path / "x.pth")

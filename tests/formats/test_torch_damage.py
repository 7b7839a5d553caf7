"""A zip file that is damaged, cut off, or lies about its records is refused before anything is taken from it."""

import os
import random
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import Array, open_checkpoint
from effconvert.formats.torch.file import TorchCheckpoint
from helpers.formats.building import contents, expected, flip, make_torch, peak_memory, read_all, refusal
from helpers.formats.pickles import (
    RECORDS,
    VALUES,
    integer,
    integers,
    patch_directory,
    state_dict,
    storage,
    tensor,
    write,
)

GOOD = state_dict(tensor())
LARGE = state_dict(tensor(integers(100_000), held=storage(integer(100_000))))
CRC, STORED_SIZE, SIZE = 16, 20, 24


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write(tmp_path / "x.pth", GOOD)


def test_r6_every_flipped_bit_of_the_data_is_caught(tmp_path: Path) -> None:
    path = make_torch(tmp_path / "x.pth", {"x": np.arange(6, dtype=np.float32) + 0.1})
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = content.index(archive.read("archive/data/0"))
    for bit in range(8 * start, 8 * (start + 24)):
        path.write_bytes(flip(content, bit))
        assert "record data/0 is damaged: Bad CRC-32" in refusal(path)


def test_flipped_bits_are_refused_or_change_nothing(torch_file: Path, arrays: dict[str, Array]) -> None:
    content = torch_file.read_bytes()
    generator = random.Random(6)
    refused = 0
    for bit in (generator.randrange(8 * len(content)) for _ in range(2000)):
        torch_file.write_bytes(flip(content, bit))
        try:
            with TorchCheckpoint(torch_file) as checkpoint:
                assert contents(checkpoint) == expected(arrays)
        except UnreadableCheckpoint:
            refused += 1
    assert refused > 1000


def test_s5_every_truncation_is_refused(torch_file: Path) -> None:
    content = torch_file.read_bytes()
    for length in [*random.Random(7).sample(range(len(content)), 99), len(content) - 1]:
        torch_file.write_bytes(content[:length])
        refusal(torch_file)


@pytest.mark.parametrize("count", [0, 1, 3, 5, 1 << 40, 1 << 62, 1 << 800])
def test_a_storage_of_another_size_than_its_record_is_refused(tmp_path: Path, count: int) -> None:
    pickle = state_dict(tensor(integers(0), held=storage(integer(count))))
    path = write(tmp_path / "x.pth", pickle)
    assert peak_memory(lambda: refusal(path)) < 1 << 20
    assert f"the data of x takes 16 bytes, expected {4 * count:,}" in refusal(path)


def test_a_record_that_is_missing_is_refused(tmp_path: Path) -> None:
    assert "the data of x is missing" in refusal(write(tmp_path / "x.pth", GOOD, {}))


@pytest.mark.parametrize("fields", [[SIZE], [SIZE, STORED_SIZE]])
def test_a_record_that_is_shorter_than_it_declares_is_refused(tmp_path: Path, fields: list[int]) -> None:
    """zipfile gives what there is; memory behind it must not be taken for the rest of the tensor."""
    path = write(tmp_path / "x.pth", LARGE)
    for field in fields:
        patch_directory(path, "data/0", field, 400_000)
    assert "its record 'archive/data/0'" in refusal(path)


def test_a_file_that_is_cut_off_while_it_is_open_is_refused(good: Path) -> None:
    with open_checkpoint(good) as checkpoint:
        os.truncate(good, good.read_bytes().index(VALUES) + 8)
        with pytest.raises(UnreadableCheckpoint, match="8 bytes too early"):
            checkpoint.read("x")


def test_a_record_that_is_longer_than_it_declares_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pth", GOOD, {"data/0": VALUES * 2})
    patch_directory(path, "data/0", SIZE, 16)
    assert "its record 'archive/data/0' has two sizes" in refusal(path)


@pytest.mark.parametrize("record", ["data/0", "data.pkl"])
def test_a_record_larger_than_the_file_takes_no_memory(tmp_path: Path, record: str) -> None:
    count = 1_000_000_000
    path = write(tmp_path / "x.pth", state_dict(tensor(integers(1), held=storage(integer(count)))))
    for field in (SIZE, STORED_SIZE):
        patch_directory(path, record, field, 4 * count)
    assert peak_memory(lambda: refusal(path)) < 1 << 20
    assert f"its record 'archive/{record}' does not have the 4,000,000,000 bytes" in refusal(path)


def test_a_wrong_checksum_is_refused(good: Path) -> None:
    patch_directory(good, "data/0", CRC, 1)
    assert "Bad CRC-32" in refusal(good)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("compressed", ["data.pkl", "data/0"])
def test_a_compressed_record_is_refused(tmp_path: Path, compressed: str, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        for name, content in {"data.pkl": GOOD, **RECORDS}.items():
            kind = method if name == compressed else zipfile.ZIP_STORED
            archive.writestr(f"archive/{name}", content, compress_type=kind)
    assert f"record {compressed} is compressed" in refusal(tmp_path / "x.pth")


@pytest.mark.parametrize("bomb", ["data.pkl", "data/0"])
def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, bomb: str) -> None:
    path = tmp_path / "x.pth"
    pickle = state_dict(tensor(held=storage(integer(8 << 20))))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {"data.pkl": pickle, "data/0": VALUES}.items():
            kind = zipfile.ZIP_DEFLATED if name == bomb else zipfile.ZIP_STORED
            archive.writestr(f"archive/{name}", bytes(32 << 20) if name == bomb else content, compress_type=kind)
    assert path.stat().st_size < 100_000
    assert peak_memory(lambda: refusal(path)) < 1 << 20


@pytest.mark.parametrize(("field", "value"), [(CRC, 1), (STORED_SIZE, 15), (SIZE, 17)])
def test_a_header_that_differs_from_the_directory_is_refused(good: Path, field: int, value: int) -> None:
    patch_directory(good, "data/0", field, value, header=False)
    assert "the header of its record 'archive/data/0' differs from the directory" in refusal(good)


def test_a_large_directory_is_not_read(good: Path) -> None:
    """zipfile makes much more of a directory than the bytes it has."""
    content = bytearray(good.read_bytes())
    end = content.rindex(b"PK\x05\x06")
    start = int.from_bytes(content[end + 16 : end + 20], "little")
    content[start:end] = content[start:end] * 50_000
    end = content.rindex(b"PK\x05\x06")
    content[end + 12 : end + 16] = (end - start).to_bytes(4, "little")
    good.write_bytes(content)

    def read() -> None:
        with pytest.raises(UnreadableCheckpoint, match="its directory declares"):
            TorchCheckpoint(good)

    assert peak_memory(read) < 1 << 20


def test_two_records_may_not_pass_for_each_other(tmp_path: Path) -> None:
    """The directory's entry of data/0 is made to point to data/1, whose own header says so."""
    path = write(tmp_path / "x.pth", GOOD, {"data/0": VALUES, "data/1": VALUES[::-1]})
    content = path.read_bytes()
    patch_directory(path, "data/0", 42, content.index(b"archive/data/1") - 30, header=False)
    assert "bytes behind its record 'archive/data.pkl' belong to no record" in refusal(path)


def test_a_record_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's, of the name that stands twice
        for name in ("data.pkl", "data/0", "data/0"):
            archive.writestr(f"archive/{name}", GOOD if name == "data.pkl" else VALUES)
    assert "it has two records 'archive/data/0'" in refusal(tmp_path / "x.pth")


@pytest.mark.parametrize("names", [["a/data.pkl", "b/data.pkl"], ["word/document.xml"], ["data.pkl"], []])
def test_another_zip_file_is_refused(tmp_path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        for name in names:
            archive.writestr(name, GOOD)
    refusal(tmp_path / "x.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_a_whole_model_is_refused_with_what_to_save_instead(tmp_path: Path, zipped: bool) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    message = refusal(tmp_path / "x.pth")
    assert "a whole model of class torch.nn.modules.linear.Linear" in message
    assert "asks for torch.nn.modules.linear.Linear" in message
    assert "torch.save its state_dict()" in message


def test_an_encrypted_record_is_refused(good: Path) -> None:
    content = bytearray(good.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.rindex(signature)
        content[at + flags] |= 1
    good.write_bytes(content)
    assert "its record 'archive/data/0' is encrypted" in refusal(good)


def test_a_name_that_differs_between_record_and_directory_is_refused(good: Path) -> None:
    good.write_bytes(good.read_bytes().replace(b"archive/data/0", b"archive/data/1", 1))
    assert "the header of its record 'archive/data/0' differs from the directory" in refusal(good)


@pytest.mark.parametrize("flag", [0, 0x08], ids=["code page", "UTF-8"])
def test_a_record_whose_name_is_no_text_is_refused(good: Path, flag: int) -> None:
    content = bytearray(good.read_bytes().replace(b"archive/data/0", b"archive/data/\xff"))
    for signature, flags in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        content[content.rindex(signature) + flags] |= flag
    good.write_bytes(content)
    assert "its record 'archive/data/\\xff' has a name that is not text" in refusal(good)


@pytest.mark.parametrize("order", [b"big", b"", b"\xff", b"little "])
def test_another_byte_order_is_refused(tmp_path: Path, order: bytes) -> None:
    assert "big-endian" in refusal(write(tmp_path / "x.pth", GOOD, {**RECORDS, "byteorder": order}))


def test_the_byte_order_of_torch_before_2_1_is_little(good: Path) -> None:
    assert read_all(good)["x"][2] == VALUES


@pytest.mark.parametrize("root", ["x", "name with spaces", "имя"])
def test_any_folder_in_the_archive_is_found(tmp_path: Path, root: str) -> None:
    assert read_all(write(tmp_path / "x.pth", GOOD, root=root))["x"][2] == VALUES


@pytest.mark.parametrize("root", ["archive/nested", "/etc", "..", "a/../b", "a\\b", ""])
def test_a_folder_that_torch_does_not_open_is_refused(tmp_path: Path, root: str) -> None:
    path = write(tmp_path / "x.pth", GOOD, root=root)
    refusal(path)
    with pytest.raises(RuntimeError):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize("metadata", [b"", b"[]", b"{", b'{"a": 1}', b"\xff", b"[" * 100_000, b"1" * 5000])
def test_metadata_that_is_no_object_of_texts_is_refused(tmp_path: Path, metadata: bytes) -> None:
    refusal(write(tmp_path / "x.pth", GOOD, {**RECORDS, "effconvert.json": metadata}))


def test_a_file_that_is_refused_is_closed(tmp_path: Path) -> None:
    """A file that stays open raises a ResourceWarning, which is an error in these tests."""
    for pickle in (b"", GOOD[:40], state_dict(integer(1))):
        with pytest.raises(UnreadableCheckpoint):
            open_checkpoint(write(tmp_path / "x.pth", pickle))

"""A bundle that is damaged, cut off or not what this version reads is refused, and the message says where."""

from pathlib import Path

import numpy as np
import pytest

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import Array, open_checkpoint
from effconvert.formats.protobuf import bytes_field, number_field
from effconvert.formats.tensorflow.leveldb_table import write_table
from helpers.formats import bundles
from helpers.formats.building import flip, make_bundle, peak_memory, read_all, refusal

ONE = np.array(1, np.float32).tobytes()
DATA = "model.ckpt.data-00000-of-00001"


def test_r6_every_flipped_bit_of_the_data_is_caught_and_its_tensor_named(tmp_path: Path) -> None:
    arrays: dict[str, Array] = {"first": np.arange(3, dtype=np.float32), "second": np.arange(2, dtype=np.int64)}
    index = make_bundle(tmp_path / "model.ckpt", arrays)
    data = index.with_name(DATA)
    content = data.read_bytes()
    for bit in range(8 * len(content)):
        data.write_bytes(flip(content, bit))
        damaged, whole = ("first", "second") if bit < 8 * 12 else ("second", "first")
        with open_checkpoint(index) as checkpoint:
            checkpoint.read(whole)
            with pytest.raises(UnreadableCheckpoint, match=rf"{DATA}: tensor {damaged} is damaged: CRC32C stored 0x"):
                checkpoint.read(damaged)


def test_s5_every_flipped_bit_of_the_index_is_refused(tmp_path: Path) -> None:
    index = make_bundle(tmp_path / "model.ckpt", {"x": np.ones(2, np.float32)})
    content = index.read_bytes()
    for bit in range(8 * len(content)):
        index.write_bytes(flip(content, bit))
        assert str(tmp_path) in refusal(index)


def test_s5_every_truncation_of_the_data_is_refused_and_the_file_named(bundle: Path, arrays: dict[str, Array]) -> None:
    data = bundle.with_name(DATA)
    content = data.read_bytes()
    for length in range(len(content)):
        data.write_bytes(content[:length])
        assert f"of {DATA}, which has {length} bytes" in refusal(bundle)


def test_s5_every_truncation_of_the_index_is_refused(bundle: Path) -> None:
    content = bundle.read_bytes()
    for length in range(len(content)):
        bundle.write_bytes(content[:length])
        refusal(bundle)


def test_a_data_file_that_is_missing_is_named(bundle: Path) -> None:
    bundle.with_name(DATA).unlink()
    assert f"{DATA}: missing" in refusal(bundle)


def test_all_data_files_that_are_missing_are_named(tmp_path: Path) -> None:
    index = bundles.write(tmp_path, {}, [b"", b"", b""])
    for number in (0, 2):
        index.with_name(f"model.ckpt.data-{number:05d}-of-00003").unlink()
    message = refusal(index)
    assert "data-00000-of-00003: missing" in message
    assert "data-00002-of-00003: missing" in message


def test_all_problems_stand_in_one_message(tmp_path: Path) -> None:
    entries = {b"a": bundles.entry((2,), ONE), b"b": bundles.entry((), ONE, offset=90), b"c": bundles.entry((), ONE)}
    message = refusal(bundles.write(tmp_path, entries, [ONE]))
    assert "a: 4 bytes, but shape (2,) of float32 takes 8" in message
    assert f"b: ends at byte 94 of {DATA}, which has 4 bytes" in message
    assert "c: " not in message


@pytest.mark.parametrize("shape", [(), (3,), (1, 2), (0,)])
def test_a_size_that_the_shape_does_not_take_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    index = bundles.write(tmp_path, {b"x": bundles.entry(shape, b"\0" * 20)}, [b"\0" * 20])
    assert "20 bytes, but shape" in refusal(index)


@pytest.mark.parametrize("offset", [1, 1 << 32, (1 << 64) - 1, -4])
def test_an_offset_beyond_the_data_is_refused(tmp_path: Path, offset: int) -> None:
    assert "ends at byte" in refusal(bundles.write(tmp_path, {b"x": bundles.entry((), ONE, offset=offset)}, [ONE]))


@pytest.mark.parametrize("shard", [1, 5, 1 << 31, -1])
def test_a_data_file_that_the_header_does_not_count_is_refused(tmp_path: Path, shard: int) -> None:
    message = refusal(bundles.write(tmp_path, {b"x": bundles.entry((), ONE, shard=shard)}, [ONE]))
    assert f"is in shard {shard % (1 << 64)}, but there are 1" in message


@pytest.mark.parametrize("shape", [(-1,), (2, -3), (1 << 31, 1 << 31), (1 << 62, 0), (0, 1 << 62), (1,) * 40])
def test_a_shape_that_no_array_has_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    index = bundles.write(tmp_path, {b"x": bundles.entry(shape, ONE)}, [ONE])
    assert "a tensor has" in refusal(index)


def test_a_tensor_of_unknown_rank_is_refused(tmp_path: Path) -> None:
    content = number_field(1, 1) + bytes_field(2, number_field(3, 1))
    assert "rank is unknown" in refusal(bundles.write(tmp_path, {b"x": content}))


def test_a_large_declared_tensor_takes_no_memory(tmp_path: Path) -> None:
    index = bundles.write(tmp_path, {b"x": bundles.entry((10**12,), size=4 * 10**12)}, [ONE])
    assert peak_memory(lambda: refusal(index)) < 1 << 20


def test_an_unknown_dtype_is_named(tmp_path: Path) -> None:
    assert "x: dtype 99" in refusal(bundles.write(tmp_path, {b"x": bundles.entry((), ONE, dtype=99)}, [ONE]))


def test_a_big_endian_bundle_is_refused(tmp_path: Path) -> None:
    assert "big-endian" in refusal(bundles.write(tmp_path, {}, first=bundles.header(big_endian=True)))


def test_a_bundle_for_later_readers_is_refused(tmp_path: Path) -> None:
    assert "a reader of version 2" in refusal(bundles.write(tmp_path, {}, first=bundles.header(min_consumer=2)))


@pytest.mark.parametrize("shards", [0, 1 << 20, -1])
def test_an_impossible_number_of_data_files_is_refused(tmp_path: Path, shards: int) -> None:
    assert "data files" in refusal(bundles.write(tmp_path, {}, first=bundles.header(shards)))


def test_an_index_without_header_is_refused(tmp_path: Path) -> None:
    index = tmp_path / "model.ckpt.index"
    index.write_bytes(write_table([(b"x", bundles.entry((), ONE))]))
    assert "has no header" in refusal(index)
    index.write_bytes(write_table([]))
    assert "has no header" in refusal(index)


def test_a_checkpoint_of_version_1_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """A V1 file is a table as well; its first value is a SavedTensorSlices, whose field 1 is a message."""
    index = bundles.write(tmp_path, {b"\0x": b""}, first=bytes_field(1, bytes_field(1, b"\x0a\x01x")))
    message = refusal(index)
    assert "a TensorFlow V1 checkpoint" in message
    assert "SaverDef.V2" in message


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    index = tmp_path / "model.ckpt.index"
    index.write_bytes(write_table([(b"", bundles.HEADER), (b"x", b"\x08\x01"), (b"x", b"\x08\x01")]))
    assert "key b'x' comes after b'x'" in refusal(index)


@pytest.mark.parametrize("name", ["a\nb", "a\x00b", "\x1b[31m", "a\u202eb", "a\u2028b", "x" * 10_000])
def test_a_name_that_no_framework_writes_is_refused(tmp_path: Path, name: str) -> None:
    index = bundles.write(tmp_path, {name.encode(): bundles.entry((), ONE)}, [ONE])
    message = refusal(index)
    assert "no framework writes" in message
    assert message.isprintable()
    assert len(message) < 1000


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    assert "the index is damaged" in refusal(bundles.write(tmp_path, {b"\xff\xfe": bundles.entry((), ONE)}, [ONE]))


@pytest.mark.parametrize("content", [b"\x0a\x01x", b"\x12\x05", b"\x1b", b"\xff" * 30, b"\x2a\x01a"])
def test_an_entry_that_is_no_entry_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "the index is damaged" in refusal(bundles.write(tmp_path, {b"x": content}))


def test_data_that_is_cut_off_after_it_was_opened_is_refused(bundle: Path) -> None:
    with open_checkpoint(bundle) as checkpoint:
        bundle.with_name(DATA).write_bytes(b"")
        with pytest.raises(UnreadableCheckpoint, match="bytes too early"):
            checkpoint.read("b/kernel")


def test_a_whole_bundle_is_read(bundle: Path, arrays: dict[str, Array]) -> None:
    assert list(read_all(bundle)) == list(arrays)

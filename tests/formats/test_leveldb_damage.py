"""A table that is damaged, cut off or made to exhaust the reader is refused."""

import cramjam
import pytest

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.tensorflow.leveldb_table import TableError, read_table, write_table
from helpers.formats import tables
from helpers.formats.building import flip, peak_memory

ENTRIES = [(b"", b"header"), (b"kernel", b"one"), (b"kernel/average", b"two")]
SMALL = write_table(ENTRIES)
HUGE_NUMBER = b"\xff" * 9 + b"\x01"


def refusal(content: bytes) -> str:
    with pytest.raises(TableError) as caught:
        list(read_table(content))
    return str(caught.value)


def test_every_flipped_bit_is_refused() -> None:
    accepted = []
    for bit in range(8 * len(SMALL)):
        try:
            list(read_table(flip(SMALL, bit)))
            accepted.append(bit)
        except TableError:
            pass
    assert accepted == []


def test_every_truncation_is_refused() -> None:
    for length in range(len(SMALL)):
        refusal(SMALL[:length])


def test_bytes_behind_the_table_are_refused() -> None:
    assert "footer" in refusal(SMALL + b"\0")


def test_bytes_before_the_table_are_refused() -> None:
    refusal(b"\0" + SMALL)


def test_a_damaged_block_is_named_with_both_checksums() -> None:
    assert "the block at 0 is damaged: CRC32C stored 0x" in refusal(flip(SMALL, 3 * 8))


@pytest.mark.parametrize("keys", [[b"b", b"a"], [b"a", b"a"], [b"ab", b"a"]])
def test_keys_that_do_not_ascend_are_refused(keys: list[bytes]) -> None:
    content = tables.table([tables.block([tables.entry(key, b"") for key in keys])])
    assert f"key {keys[1]!r} comes after {keys[0]!r}" in refusal(content)


def test_keys_that_do_not_ascend_from_block_to_block_are_refused() -> None:
    blocks = [tables.block([tables.entry(key, b"")]) for key in (b"b", b"a")]
    assert "comes after" in refusal(tables.table(blocks))


def test_a_block_over_the_end_is_refused() -> None:
    handle = tables.number(0) + tables.number(10_000)
    assert "exceeds the end" in refusal(tables.table([tables.block([])], handles=[handle]))


@pytest.mark.parametrize("handle", [HUGE_NUMBER + b"\0", b"\0" + HUGE_NUMBER, b"\xff" * 20, b"\x80", b""])
def test_an_impossible_handle_is_refused(handle: bytes) -> None:
    refusal(tables.table([tables.block([])], handles=[handle]))


def test_a_block_that_is_named_twice_is_refused() -> None:
    content = tables.block([])
    handle = tables.number(0) + tables.number(len(content))
    assert "overlaps" in refusal(tables.table([content], handles=[handle, handle]))


@pytest.mark.parametrize("count", [2, 3, 1 << 20, 0xFFFFFFFF])
def test_more_restarts_than_a_block_has_room_for_are_refused(count: int) -> None:
    assert "restarts" in refusal(tables.table([tables.block([], count=count)]))


def test_a_block_without_a_count_of_restarts_is_refused() -> None:
    assert "a block is empty" in refusal(tables.table([b"\0\0"]))


@pytest.mark.parametrize(
    "entry",
    [
        tables.entry(b"k", b"v", shared=1),  # shares with a key that is not there
        tables.number(0) + tables.number(9) + tables.number(0) + b"k",
        tables.number(0) + tables.number(1) + tables.number(9) + b"kv",
        HUGE_NUMBER + b"\0\0",
        b"\0" + HUGE_NUMBER + b"\0",
        b"\0\0" + HUGE_NUMBER,
        b"\xff" * 30,
        b"\x80",
    ],
)
def test_an_entry_beyond_its_block_is_refused(entry: bytes) -> None:
    refusal(tables.table([tables.block([entry])]))


def test_a_snappy_block_that_declares_too_much_is_refused_before_it_is_unpacked() -> None:
    bomb = tables.table([tables.number(1 << 30) + b"\0a"], kind=1)
    assert peak_memory(lambda: refusal(bomb)) < 1 << 20
    assert "1,073,741,824 bytes" in refusal(bomb)


def test_a_snappy_block_of_the_strongest_compression_is_read() -> None:
    entries = [(b"key", b"\0" * 1_000_000)]
    packed = bytes(cramjam.snappy.compress_raw(tables.block([tables.entry(*entries[0])])))
    assert len(packed) < 50_000
    assert list(read_table(tables.table([packed], kind=1))) == entries


def test_long_keys_from_a_small_file_are_refused() -> None:
    first = tables.entry(b"a" * 100_000, b"")
    longer = [tables.entry(b"a", b"", shared=100_000 + at) for at in range(5000)]
    content = tables.table([tables.block([first, *longer])])
    assert len(content) < 150_000
    with pytest.raises(UnreadableCheckpoint, match="its names would take more than 128 MB of memory"):
        list(read_table(content))

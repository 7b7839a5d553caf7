"""The sorted table: what is written is read, byte for byte as LevelDB lays it out."""

import cramjam
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from effconvert.formats.tensorflow.leveldb_table import TableError, masked, read_table, write_table
from helpers.formats import tables
from helpers.formats.building import examples

# A table of the keys '', 'a' and 'ab', laid out by hand after LevelDB's doc/table_format.md. The three checksums are
# CRC32C over block and type, computed bit by bit (tables.crc32c), then masked.
GOLDEN = bytes.fromhex(
    "00 00 01 48"  # shares 0 bytes of the key before, adds 0, 1 byte of value: '' = 'H'
    "00 01 01 61 31"  # shares 0, adds 'a': 'a' = '1'
    "01 01 02 62 32 32"  # shares 1, adds 'b': 'ab' = '22'
    "00000000 01000000 00 0846fb72"  # restarts: at 0, one; type 0, not compressed; checksum
    "00000000 01000000 00 c0f2a1b0"  # at 28, 8 bytes: the metaindex, which is empty
    "00 01 02 62 0017 00000000 01000000 00 a3230222"  # at 41, 14 bytes: the index, 'b' >= 'ab': block 0, 23 bytes
    "1c08 290e" + "00" * 36 + "57fb808b247547db"  # the footer: both handles, padding, magic
)
GOLDEN_ENTRIES = [(b"", b"H"), (b"a", b"1"), (b"ab", b"22")]


def test_the_hand_written_table_is_read() -> None:
    assert list(read_table(GOLDEN)) == GOLDEN_ENTRIES


def test_the_hand_written_table_is_written() -> None:
    assert write_table(GOLDEN_ENTRIES) == GOLDEN


def test_checksums_are_masked_crc32c() -> None:
    assert tables.crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32/ISCSI
    assert masked(0xE3069283) == tables.masked(0xE3069283)


@examples(200)
@given(st.dictionaries(st.binary(max_size=40), st.binary(max_size=60), max_size=60))
@example({})
@example({b"": b""})
@example({b"\xff": b"", b"\xff\xff": b"x"})
def test_what_is_written_is_read(content: dict[bytes, bytes]) -> None:
    entries = sorted(content.items())
    assert list(read_table(write_table(entries))) == entries


@examples(20)
@given(st.integers(1, 60), st.integers(1, 200_000))
def test_tables_of_many_blocks_are_read(count: int, size: int) -> None:
    entries = [(b"key %03d" % at, bytes([at]) * size) for at in range(count)]
    assert list(read_table(write_table(entries))) == entries


def test_a_block_ends_at_256_kib() -> None:
    content = write_table([(b"key %05d" % at, b"v" * 1024) for at in range(1000)])
    full_keys = [at for at in range(1000) if b"\0\x09\x80\x08key %05d" % at in content]
    blocks = [(0, 255), (255, 510), (510, 765), (765, 1000)]  # 255 entries of 1,031 bytes are just beyond 256 KiB
    assert full_keys == [at for start, end in blocks for at in range(start, end, 16)]


def test_keys_share_their_prefix() -> None:
    prefix = b"efficientnet-b0/model/blocks_0/" * 4
    content = write_table([(prefix + b"%04d" % at, b"") for at in range(1000)])
    assert content.count(prefix) == -(-1000 // 16)  # in full at the restarts, each 16th key
    assert len(content) < 1000 * len(prefix) / 9


def test_every_sixteenth_key_is_a_restart() -> None:
    content = write_table([(b"key %02d" % at, b"") for at in range(40)])
    restarts = [content.index(b"\0\x06\0key %02d" % at) for at in (0, 16, 32)]
    assert b"".join(at.to_bytes(4, "little") for at in (*restarts, 3)) in content


def test_snappy_blocks_are_read() -> None:
    plain = tables.block([tables.entry(b"a" * 50, b"1" * 500), tables.entry(b"b", b"2" * 500)])
    packed = bytes(cramjam.snappy.compress_raw(plain))
    assert len(packed) < len(plain)
    assert list(read_table(tables.table([packed], kind=1))) == [(b"a" * 50, b"1" * 500), (b"b", b"2" * 500)]


def test_a_block_that_is_not_snappy_is_refused() -> None:
    with pytest.raises(TableError, match="not snappy"):
        list(read_table(tables.table([b"\x08\xff\xff\xff"], kind=1)))


@pytest.mark.parametrize("kind", [2, 4, 255])
def test_an_unknown_compression_is_refused_by_its_number(kind: int) -> None:
    with pytest.raises(TableError, match=f"compressed by method {kind};"):
        list(read_table(tables.table([tables.block([])], kind=kind)))

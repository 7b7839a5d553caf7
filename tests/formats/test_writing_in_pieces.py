"""A file takes tensors in pieces, in any order of axes, and another thread writes them: never other bytes."""

import errno
import io
import time
from pathlib import Path

import crc32c
import ml_dtypes
import numpy as np
import pytest

from effconvert.formats.checkpoint import Array
from effconvert.formats.pieces import Pieces, contents
from effconvert.formats.write_behind import synced, written_behind
from helpers.formats.building import infos_of

SHAPES_AND_ORDERS = [
    ((), ()),
    ((0,), (0,)),
    ((3, 0, 2), (2, 0, 1)),
    ((7,), (0,)),
    ((1, 1, 700, 1300), (3, 2, 0, 1)),
    ((1, 1, 1300, 257), (3, 2, 0, 1)),
    ((5, 5, 960, 1), (2, 3, 0, 1)),
    ((3, 3, 96, 128), (3, 2, 0, 1)),
    ((2, 3, 300_001), (2, 1, 0)),
    ((4, 1, 1, 500, 700), (0, 4, 3, 1, 2)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.int64])
@pytest.mark.parametrize(("shape", "order"), SHAPES_AND_ORDERS)
def test_pieces_are_the_bytes_of_the_contiguous_array(
    shape: tuple[int, ...], order: tuple[int, ...], dtype: type
) -> None:
    array: Array = np.random.default_rng(0).integers(0, 250, shape).astype(dtype).transpose(order)
    expected = np.ascontiguousarray(array).tobytes()
    pieces = Pieces(array)
    found = [bytes(piece) for piece in pieces]
    assert b"".join(found) == expected
    assert all(len(piece) <= 1 << 20 for piece in found)
    assert pieces.checksum == crc32c.crc32c(expected)
    assert Pieces(array).whole().tobytes() == expected


@pytest.mark.parametrize("view", [np.s_[1:], np.s_[::-1], np.s_[:, ::2]])
def test_a_part_of_an_array_is_written_as_it_is_seen(view: tuple[slice, ...]) -> None:
    array = np.arange(800 * 900, dtype=np.float32).reshape(800, 900).T[view]
    assert b"".join(bytes(piece) for piece in Pieces(array)) == np.ascontiguousarray(array).tobytes()


def test_more_arrays_than_tensors_are_an_error() -> None:
    arrays = {"a": np.zeros(2), "b": np.zeros(2)}
    with pytest.raises(ValueError, match="more arrays than infos"):
        for _, pieces in contents(infos_of(arrays)[:1], arrays.values()):
            list(pieces)


def test_what_is_written_behind_is_there_in_order(tmp_path: Path) -> None:
    with (tmp_path / "x").open("w+b") as file:
        with written_behind(file) as behind:
            for number in range(100):
                assert behind.tell() == 1000 * number
                behind.write(bytes([number]) * 1000)
            behind.seek(500)
            behind.write(b"again")
            assert behind.tell() == 505
        with synced(file):
            content = (tmp_path / "x").read_bytes()
    expected = bytearray(b"".join(bytes([number]) * 1000 for number in range(100)))
    expected[500:505] = b"again"
    assert content == expected


class Full(io.BytesIO):
    """A disk that is full after a hundred bytes."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.tell() + len(data) > 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("writes", [11, 200])
def test_a_full_disk_is_said_though_another_thread_met_it(writes: int) -> None:
    with pytest.raises(OSError, match="No space left"), written_behind(Full()) as behind:
        for _ in range(writes):
            behind.write(b"0123456789")


def test_an_interruption_leaves_out_what_was_not_written() -> None:
    class Slow(io.BytesIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            time.sleep(0.05)
            return super().write(data)

    file = Slow()
    with pytest.raises(KeyboardInterrupt), written_behind(file) as behind:
        for _ in range(5):
            behind.write(b"0123456789")
        raise KeyboardInterrupt
    assert len(file.getvalue()) < 50

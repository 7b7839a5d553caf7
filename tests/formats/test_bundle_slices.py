"""A variable that was saved in slices is joined, and refused when its slices are not exactly the whole."""

from pathlib import Path

import numpy as np
import pytest

from effconvert.formats import open_checkpoint
from effconvert.formats.tensorflow.slices import Extent, slice_key
from helpers.formats import bundles
from helpers.formats.building import bits, peak_memory, read_all, refusal

VALUES = np.arange(24, dtype=np.float32).reshape(4, 6)
TOP: Extent = ((0, 1), (0, -1))
MIDDLE: Extent = ((1, 2), (0, -1))
BOTTOM: Extent = ((3, 1), (0, -1))
LEFT: Extent = ((0, -1), (0, 2))
RIGHT: Extent = ((0, -1), (2, 4))


def pieces(*extents: Extent) -> dict[Extent, bytes]:
    """Return the bytes of VALUES in each extent."""
    result = {}
    for extent in extents:
        rows, columns = (slice(start, None if n < 0 else start + n) for start, n in ((max(s, 0), n) for s, n in extent))
        result[extent] = VALUES[rows, columns].tobytes()
    return result


@pytest.mark.parametrize("extents", [(TOP, MIDDLE, BOTTOM), (BOTTOM, TOP, MIDDLE), (LEFT, RIGHT)])
def test_slices_are_joined(tmp_path: Path, extents: tuple[Extent, ...]) -> None:
    assert read_all(bundles.write_sliced(tmp_path, (4, 6), pieces(*extents))) == {"kernel": bits(VALUES)}


def test_slices_along_two_axes_are_joined(tmp_path: Path) -> None:
    quarters = [((row, 2), (column, 3)) for row in (0, 2) for column in (0, 3)]
    assert read_all(bundles.write_sliced(tmp_path, (4, 6), pieces(*quarters))) == {"kernel": bits(VALUES)}


def test_what_was_joined_cannot_be_written_to(tmp_path: Path) -> None:
    with open_checkpoint(bundles.write_sliced(tmp_path, (4, 6), pieces(LEFT, RIGHT))) as checkpoint:
        assert not checkpoint.read("kernel").flags.writeable


def test_a_damaged_slice_is_named(tmp_path: Path) -> None:
    index = bundles.write_sliced(tmp_path, (4, 6), pieces(TOP, MIDDLE, BOTTOM))
    data = index.with_name("model.ckpt.data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[30] ^= 1
    data.write_bytes(content)
    assert "tensor kernel (slice ((1, 2), (0, 6))) is damaged" in refusal(index)


def test_a_slice_that_is_not_there_is_refused(tmp_path: Path) -> None:
    index = bundles.write_sliced(tmp_path, (4, 6), pieces(TOP, MIDDLE), listed=[TOP, MIDDLE, BOTTOM])
    assert f"slice {BOTTOM} is missing" in refusal(index)


def test_slices_that_leave_a_gap_are_refused(tmp_path: Path) -> None:
    assert "2 slices do not cover" in refusal(bundles.write_sliced(tmp_path, (4, 6), pieces(TOP, BOTTOM)))


def test_slices_that_overlap_are_refused(tmp_path: Path) -> None:
    both = pieces(((0, 3), (0, -1)), ((2, 2), (0, -1)))
    assert "slices overlap" in refusal(bundles.write_sliced(tmp_path, (4, 6), both))


def test_a_slice_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    index = bundles.write_sliced(tmp_path, (4, 6), pieces(TOP, MIDDLE, BOTTOM), listed=[TOP, TOP, MIDDLE, BOTTOM])
    assert "slices overlap" in refusal(index)


@pytest.mark.parametrize("extent", [((3, 2), (0, -1)), ((4, 1), (0, -1)), ((-1, 2), (0, -1)), ((0, 9), (0, 1))])
def test_a_slice_outside_of_the_tensor_is_refused(tmp_path: Path, extent: Extent) -> None:
    index = bundles.write_sliced(tmp_path, (4, 6), {**pieces(TOP, MIDDLE, BOTTOM), extent: b""})
    assert "is outside of shape" in refusal(index)


@pytest.mark.parametrize("extent", [((0, -1),), ((0, -1), (0, -1), (0, -1))])
def test_a_slice_of_another_rank_is_refused(tmp_path: Path, extent: Extent) -> None:
    index = bundles.write_sliced(tmp_path, (4, 6), {extent: VALUES.tobytes()})
    assert "missing or of another kind" in refusal(index)


def test_a_slice_of_another_dtype_is_refused(tmp_path: Path) -> None:
    whole: Extent = ((0, -1), (0, -1))
    entries = {
        b"kernel": bundles.entry((4, 6), size=0, slices=[whole]),
        slice_key("kernel", whole): bundles.entry((4, 6), VALUES.tobytes(), dtype=3),
    }
    assert "of another kind" in refusal(bundles.write(tmp_path, entries, [VALUES.tobytes()]))


def test_a_slice_of_another_size_is_refused(tmp_path: Path) -> None:
    index = bundles.write_sliced(tmp_path, (4, 6), {**pieces(TOP, MIDDLE), BOTTOM: b"\0" * 20})
    assert "20 bytes, but shape (1, 6) of float32 takes 24" in refusal(index)


@pytest.mark.parametrize("shape", [(1 << 40, 6), (1 << 20, 6)])
def test_slices_of_a_tensor_larger_than_the_data_are_refused_before_memory_is_taken(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    index = bundles.write_sliced(tmp_path, shape, pieces(TOP))
    assert peak_memory(lambda: refusal(index)) < 1 << 20
    assert "the data has 24 bytes" in refusal(index)


@pytest.mark.parametrize(
    ("extent", "key"),
    [
        # 0 as a number, the name, 00 01, the number of axes, then for each axis start and length as OrderedCode has
        # them: 80 + n below 64, ff - n' below zero, c0 40 for 64.
        (((0, 5),), "00 6b 0001 0101 80 85"),
        (((2, -1),), "00 6b 0001 0101 82 7f"),
        (((0, 64), (3, 1)), "00 6b 0001 0102 80 c040 83 81"),
        ((), "00 6b 0001 00"),
    ],
)
def test_slices_are_found_under_the_key_that_tensorflow_gives_them(extent: Extent, key: str) -> None:
    assert slice_key("k", extent) == bytes.fromhex(key)

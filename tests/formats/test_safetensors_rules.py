"""A safetensors file that breaks a rule of the format is refused before anything is taken from it."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import safetensors.numpy
from safetensors import SafetensorError

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import Array
from effconvert.formats.safetensors import SafetensorsCheckpoint
from helpers.formats.building import contents, expected, flip, peak_memory

HUGE = 10**25


def write(path: Path, header: str | bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> Path:
    """Write a file of this header, which declares `length` bytes."""
    content = json.dumps(header) if isinstance(header, dict) else header
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes((len(content) if length is None else length).to_bytes(8, "little") + content + data)
    return path


def tensor(shape: Any = (), begin: Any = 0, end: Any = 4, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": [begin, end]}


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableCheckpoint) as caught:
        SafetensorsCheckpoint(path)
    assert caught.value.exit_code == 3
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 2000
    return str(caught.value)


ENTRIES = {
    "another size": tensor((2,)),
    "begins behind the data": tensor((), 4, 8),
    "ends before it begins": tensor((), 4, 0),
    "a negative size": tensor((-1,), 0, -4),
    "two negative sizes": tensor((-1, -1)),
    "a negative offset": tensor((), -4, 0),
    "a fraction": tensor((1.0,)),
    "a fraction as offset": tensor((), 0.0, 4),
    "NaN": tensor((float("nan"),)),
    "true as size": tensor((True,)),
    "true as offset": tensor((), False, 4),
    "a text as size": tensor(("1",)),
    "a text as shape": tensor(""),
    "an object as shape": tensor({}),
    "null as shape": tensor(None),
    "a number as shape": tensor(4),
    "a size beyond 64 bits": tensor((HUGE,), 0, 4 * HUGE),
    "sizes that overflow": tensor((1 << 33, 1 << 33), 0, 4),
    "an empty tensor of an impossible size": tensor((0, 1 << 62), 0, 0),
    "a size of thousands of digits": tensor((10**4000, 10**4000), 0, 10**4000),
    "an unknown dtype": tensor(dtype="F7"),
    "no dtype": {"shape": [], "data_offsets": [0, 4]},
    "a list as dtype": tensor(dtype=["F32"]),
    "a long dtype": tensor(dtype="F" * 1_000_000),
    "no shape": {"dtype": "F32", "data_offsets": [0, 4]},
    "no offsets": {"dtype": "F32", "shape": []},
    "one offset": {"dtype": "F32", "shape": [], "data_offsets": [4]},
    "three offsets": {"dtype": "F32", "shape": [], "data_offsets": [0, 4, 4]},
    "offsets as object": {"dtype": "F32", "shape": [], "data_offsets": {"0": 0, "4": 4}},
    "a list": [0, 4],
    "a text": "F32",
    "null": None,
    "a number": 4,
    "a hundred axes": tensor((1,) * 100),
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES.keys())
def test_an_entry_that_describes_no_tensor_is_refused(tmp_path: Path, entry: Any) -> None:
    assert "x: " in refusal(write(tmp_path / "f", {"x": entry}, b"\0" * 4))


def test_a_good_entry_is_read(tmp_path: Path) -> None:
    with SafetensorsCheckpoint(write(tmp_path / "f", {"x": tensor()}, b"\0" * 4)) as checkpoint:
        assert checkpoint.read("x") == 0


SPANS = {
    "a hole": ([0, 4], [8, 12], 12),
    "a hole before the first": ([4, 8], [8, 12], 12),
    "an overlap": ([0, 4], [2, 6], 6),
    "the same place": ([0, 4], [0, 4], 4),
    "bytes behind the last": ([0, 4], [4, 8], 9),
    "bytes that are missing": ([0, 4], [4, 8], 7),
}


@pytest.mark.parametrize(("first", "second", "size"), SPANS.values(), ids=SPANS.keys())
def test_data_that_is_not_covered_exactly_is_refused(
    tmp_path: Path, first: list[int], second: list[int], size: int
) -> None:
    path = write(tmp_path / "f", {"a": tensor((), *first), "b": tensor((), *second)}, b"\0" * size)
    assert "damaged or cut off" in refusal(path)
    with pytest.raises(SafetensorError):
        safetensors.numpy.load_file(path)


def test_all_problems_stand_in_one_message(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "f", {"a": tensor(dtype="F7"), "b": tensor((9,))}, b"\0" * 4))
    assert "a: " in message
    assert "b: 4 bytes, but shape (9,) of float32 takes 36" in message


HEADERS = {
    "empty": "",
    "no JSON": "{what",
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "two values": "{}{}",
    "bytes that are not text": b'{"\xff": 1}',
    "UTF-16": "{}".encode("utf-16-le"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a name twice": '{"x": 1, "y": 2, "x": 1}',
    "a key twice": '{"x": {"dtype": "F32", "dtype": "F32", "shape": [], "data_offsets": [0, 0]}}',
    "metadata twice": '{"__metadata__": {}, "__metadata__": {}}',
    "deep lists": '{"x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep objects": '{"x":' * 100_000 + "1" + "}" * 100_000,
    "a number of many digits": '{"x": ' + "1" * 5000 + "}",
    "a name with a line break": json.dumps({"a\nb": tensor((0,), 0, 0)}),
    "a name with half a character": '{"\\ud800": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}',
    "a name that writes backwards": json.dumps({"a\u202eb": tensor((0,), 0, 0)}),
    "a long name": json.dumps({"x" * 10_000: tensor((0,), 0, 0)}),
    "metadata that is a list": '{"__metadata__": []}',
    "metadata that is null": '{"__metadata__": null}',
    "metadata with a number": '{"__metadata__": {"a": 1}}',
    "metadata with an object": '{"__metadata__": {"a": {}}}',
    "metadata with half a character": '{"__metadata__": {"a": "\\udc00"}}',
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_a_header_that_breaks_a_rule_is_refused(tmp_path: Path, header: str | bytes) -> None:
    refusal(write(tmp_path / "f", header))


@pytest.mark.parametrize("depth", [200, 900, 950, 970, 980, 985, 990, 995, 1000])
def test_a_deep_value_is_shown_shortened(tmp_path: Path, depth: int) -> None:
    refusal(write(tmp_path / "f", '{"x": ' + "[" * depth + "]" * depth + "}"))


@pytest.mark.parametrize("length", [3, 100_000_001, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_header_longer_than_the_file_is_refused_before_memory_is_taken(tmp_path: Path, length: int) -> None:
    path = write(tmp_path / "f", "{}", length=length)
    assert peak_memory(lambda: refusal(path)) < 1 << 20
    assert f"declares {length:,} bytes" in refusal(path)


def test_a_header_beyond_the_limit_of_the_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with path.open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little") + b"{}")
        file.truncate(100_000_100)  # holes, not blocks
    assert "declares 100,000,001 bytes" in refusal(path)


@pytest.mark.parametrize("size", range(8))
def test_a_file_too_short_for_a_length_is_refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "f").write_bytes(b"\0" * size)
    refusal(tmp_path / "f")


def test_many_names_with_one_twice_are_refused_as_quickly_as_they_are_read(tmp_path: Path) -> None:
    """Counting each name among all of them would take an hour here."""
    names = [*range(300_000), 299_999]
    message = refusal(write(tmp_path / "f", "{" + ",".join(f'"{name}":0' for name in names) + "}"))
    assert "'299999' is a duplicate name" in message


def test_a_large_declared_tensor_takes_no_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "f", {"x": tensor((10**12,), 0, 4 * 10**12)}, b"\0" * 8)
    assert peak_memory(lambda: refusal(path)) < 1 << 20


def test_s5_every_truncation_is_refused(safetensors_file: Path) -> None:
    content = safetensors_file.read_bytes()
    lengths = [*random.Random(3).sample(range(len(content)), 199), len(content) - 1]
    for length in lengths:
        safetensors_file.write_bytes(content[:length])
        refusal(safetensors_file)


def test_s5_a_flipped_bit_of_the_header_is_refused_or_changes_no_value(
    safetensors_file: Path, arrays: dict[str, Array]
) -> None:
    """The format has no checksum, so that a letter of a name may change; place, size and dtype may not."""
    content = safetensors_file.read_bytes()
    header_bits = 8 * (8 + int.from_bytes(content[:8], "little"))
    original = expected(arrays)
    refused = 0
    generator = random.Random(4)
    for bit in (generator.randrange(header_bits) for _ in range(2000)):
        safetensors_file.write_bytes(flip(content, bit))
        try:
            with SafetensorsCheckpoint(safetensors_file) as checkpoint:
                found = contents(checkpoint)
        except UnreadableCheckpoint:
            refused += 1
            continue
        assert len(found) == len(original)
        for (name, got), (known, wanted) in zip(found.items(), original.items(), strict=True):
            assert (got[0], got[2]) == (wanted[0], wanted[2])
            assert got[1] == wanted[1] or not got[2]  # an empty tensor takes no bytes whatever its other sizes
            assert name == known or sum(a != b for a, b in zip(name, known, strict=True)) == 1
    assert refused > 1000


def test_r6_a_flipped_bit_of_the_data_cannot_be_noticed(safetensors_file: Path, arrays: dict[str, Array]) -> None:
    """Said here so that nobody believes otherwise: against this, a SHA-256 of the file is needed."""
    content = safetensors_file.read_bytes()
    safetensors_file.write_bytes(flip(content, 8 * len(content) - 17))
    with SafetensorsCheckpoint(safetensors_file) as checkpoint:
        assert contents(checkpoint) != expected(arrays)

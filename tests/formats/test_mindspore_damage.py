"""A MindSpore checkpoint that is damaged is refused with the reason, or what can be read of it is what was written.

MindSpore itself reads most of these without a word.
"""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import Array, open_checkpoint
from effconvert.formats.protobuf import bytes_field, fields, varint
from helpers.formats.building import contents, examples, expected, flip, peak_memory, read_all, refusal
from helpers.formats.mindspore_files import GOLDEN, dims, make_mindspore, tensor, value
from helpers.formats.mutations import Mutation, assert_refused_or_read, mutated, mutations

GOOD = value("good", [2], "Float32", bytes(8))
MINUS_FIVE = (1 << 64) - 5


def described(metadata: object) -> bytes:
    return GOOD + bytes_field(1000, metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode())


# What stands in the file, and what the message must say.
DAMAGED = {
    "content that is shorter than the shape": (GOOD + value("x", [1000], "Float32", bytes(4)), "x: 4 bytes, but shape (1000,) of float32 takes 4,000"),
    "content that is longer than the shape": (GOOD + value("x", [2], "Float32", bytes(256)), "x: 256 bytes, but shape (2,)"),
    "a negative size": (GOOD + value("x", [MINUS_FIVE], "Float32", bytes(4)), "x: a tensor has shape (-5,)"),
    "two negative sizes": (GOOD + value("x", [MINUS_FIVE, MINUS_FIVE], "UInt8", bytes(25)), "x: a tensor has shape (-5, -5)"),
    "sizes that overflow": (GOOD + value("x", [1 << 32, 1 << 32], "UInt8", b""), "x: a tensor has shape"),
    "sizes that overflow along an empty axis": (GOOD + value("x", [0, 1 << 62, 1 << 62], "UInt8", b""), "x: a tensor has shape"),
    "a scalar of two values": (GOOD + value("x", [], "Float32", bytes(8)), "x: 8 bytes, but shape () of float32 takes 4"),
    "an old scalar of two values": (GOOD + value("x", [0], "Float32", bytes(8)), "x: 8 bytes, but shape () of float32 takes 4"),
    "a name that returns": (GOOD + value("x", [1], "UInt8", b"1") + GOOD, "good: appears again after another tensor"),
    "a name that follows itself": (GOOD + GOOD, "good: 16 bytes, but shape (2,)"),
    "a text under a tensor's name": (GOOD + value("x", [], "str", b"") + GOOD, "good: appears again after another tensor"),
    "slices of different shapes": (value("x", [4], "UInt8", b"12") + value("x", [2, 2], "UInt8", b"34"), "x: its slices differ"),
    "slices of different types": (value("x", [4], "UInt8", b"12") + value("x", [4], "Int8", b"34"), "x: its slices differ"),
    "a slice too few": (value("x", [6], "UInt8", b"12") + value("x", [6], "UInt8", b"34"), "x: 4 bytes, but shape (6,)"),
    "a type that MindSpore does not have": (GOOD + value("x", [1], "Float33", bytes(4)), "x: its type is 'Float33'"),
    "33 axes": (GOOD + value("x", [1] * 33, "UInt8", b"1"), "x: field 1"),
    "no name": (GOOD + bytes_field(1, bytes_field(2, tensor([1], "UInt8", b"1"))), "not one name and one tensor"),
    "an empty name": (GOOD + value("", [1], "UInt8", b"1"), "not one name and one tensor"),
    "no tensor": (GOOD + bytes_field(1, bytes_field(1, b"x")), "not one name and one tensor"),
    "a tensor as a table": (GOOD + bytes_field(1, bytes_field(1, b"x") + bytes_field(3, tensor([2], "UInt8", b"12"))), "x: neither a tensor nor a hash table"),
    "a tensor and a table": (GOOD + bytes_field(1, bytes_field(1, b"x") + bytes_field(2, tensor([], "UInt8", b"1")) + bytes_field(3, b"")), "not one name and one tensor"),
    "two names": (GOOD + bytes_field(1, bytes_field(1, b"x") + bytes_field(1, b"y")), "field 1 of a value"),
    "two tensors of a name": (GOOD + bytes_field(1, bytes_field(1, b"x") + 2 * bytes_field(2, tensor([], "UInt8", b"1"))), "field 2 of a value"),
    "no type": (GOOD + bytes_field(1, bytes_field(1, b"x") + bytes_field(2, dims([1]) + bytes_field(3, b"1"))), "x: a type or the content is missing"),
    "no content": (GOOD + bytes_field(1, bytes_field(1, b"x") + bytes_field(2, dims([1]) + bytes_field(2, b"UInt8"))), "x: a type or the content is missing"),
    "two contents": (GOOD + bytes_field(1, bytes_field(1, b"x") + bytes_field(2, tensor([1], "UInt8", b"1") + bytes_field(3, b"1"))), "x: field 3"),
    "packed sizes": (GOOD + bytes_field(1, bytes_field(1, b"x") + bytes_field(2, bytes_field(1, b"\1") + tensor([], "UInt8", b"1"))), "x: field 1"),
    "a field of a tensor that no one knows": (GOOD + bytes_field(1, bytes_field(1, b"x") + bytes_field(2, tensor([], "UInt8", b"1") + bytes_field(4, b""))), "x: field 4"),
    "a field of a value that no one knows": (GOOD + bytes_field(1, bytes_field(1, b"x") + bytes_field(4, b"")), "field 4 of a value"),
    "a field that no one knows": (GOOD + bytes_field(2, b""), "field 2 is unknown here"),
    "a number in place of a value": (GOOD + b"\x08\x01", "field 1 is unknown here"),
    "a group": (GOOD + b"\x0b\x0c", "begins a field of kind 3"),
    "a fixed number": (GOOD + b"\x0d\0\0\0\0", "begins a field of kind 5"),
    "a number that does not end": (GOOD + b"\xff" * 4, "a number does not end"),
    "a number of eleven bytes": (GOOD + b"\xff" * 11, "a number is too long"),
    "a size beyond the file": (GOOD + b"\x0a" + varint(1 << 40), "a field declares 1,099,511,627,776 bytes, but 0 are left"),
    "a size beyond its message": (GOOD + b"\x0a\x04\x0a\x7fab" + bytes(200), "a field declares 127 bytes, but 2 are left"),
    "a name that is not text": (GOOD + bytes_field(1, bytes_field(1, b"\xff\xfe") + bytes_field(2, b"")), "a name is not UTF-8"),
    "a name that is not printable": (GOOD + value("a\x1bb", [1], "UInt8", b"1"), "no framework writes"),
    "a name without end": (GOOD + value("x" * 20000, [1], "UInt8", b"1"), "a name of 20,000 bytes"),
    "a description that is cut off": (described({"a": "b"})[:-1], "a field declares 10 bytes, but 9 are left"),
    "a description before a tensor": (described({"a": "b"}) + value("x", [], "UInt8", b"1"), "field 1000 is unknown here"),
    "a description that is not JSON": (described(b"{"), "the description is not JSON"),
    "a description of numbers": (described({"a": 1}), "the description is not an object of strings"),
    "a description that is a list": (described(["a"]), "the description is not an object of strings"),
    "a description of half a character": (described({"a": "\ud800"}), "the description is not JSON"),
    "a description without end": (described(b"[" * 100_000), "the description is not JSON"),
    "a description of nine MB": (described(b" " * (9 << 20)), "the description declares 9,437,184 bytes"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), DAMAGED.values(), ids=DAMAGED)
def test_it_is_refused_with_the_reason(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x").write_bytes(content)
    message = refusal(tmp_path / "x")
    assert message.startswith(f"{tmp_path / 'x'}: ")
    assert words in message


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    broken = [value(f"x{number}", [number], "Float32", b"") for number in range(1, 5)]
    (tmp_path / "x").write_bytes(GOOD + b"".join(broken))
    assert refusal(tmp_path / "x").count("0 bytes, but shape") == 4


def test_more_tensors_than_any_network_has_are_refused(tmp_path: Path) -> None:
    values = [value(f"x{number}", [], "UInt8", b"1") for number in range(40_000)]
    (tmp_path / "x").write_bytes(b"".join(values))
    assert "needs far more work to read than any file of" in refusal(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"".join(values[:5_000]))  # as L2 with an optimizer's slots
    assert len(read_all(tmp_path / "x")) == 5_000


def test_s5_a_file_that_is_cut_off_is_refused_or_has_fewer_tensors(tmp_path: Path) -> None:
    """Between two tensors a cut leaves a whole file: only a list of what it must hold can tell."""
    arrays = {f"layer.{number}.weight": np.arange(number * 7, dtype=np.float32) for number in range(1, 20)}
    content = make_mindspore(tmp_path / "whole", arrays, {"variant": "b0"}).read_bytes()
    wanted = list(expected(arrays).items())
    ends = {0}
    for number, part in fields(content):
        ends.add(max(ends) + len(bytes_field(number, part)))  # type: ignore[arg-type]
    spread = [round(at) for at in np.linspace(0, len(content) - 1, 200)]
    for at in {*spread, *(end for end in ends if 0 < end < len(content))}:
        (tmp_path / "x").write_bytes(content[:at])
        if at in ends and at:
            found = list(read_all(tmp_path / "x").items())
            assert found == wanted[: len(found)]
        else:
            refusal(tmp_path / "x")


def flipped_bits(size: int) -> list[int]:
    """2,000 bits in the first 64 kB and the last 4 kB, the same in every run."""
    generator = random.Random(0)
    first, last = min(size, 65536) * 8, max(0, size - 4096) * 8
    return [generator.randrange(first) for _ in range(1000)] + [
        generator.randrange(last, size * 8) for _ in range(1000)
    ]


def differing(found: list[tuple[str, object]], wanted: list[tuple[str, object]]) -> int:
    return sum(one != other for one, other in zip(found, wanted, strict=True))


def test_s5_a_flipped_bit_is_refused_or_changes_one_name_or_one_content(tmp_path: Path) -> None:
    """The format has no checksum: what is left is that shapes and types hold, and that one tensor changes at most."""
    generator = np.random.default_rng(3)
    arrays = {f"block.{n}.conv.weight": generator.normal(size=(n % 7 + 1, 20)).astype(np.float32) for n in range(200)}
    path = make_mindspore(tmp_path / "whole", arrays, {"variant": "b0", "facts": "x" * 500})
    content, wanted = path.read_bytes(), expected(arrays)
    refused = 0
    for bit in flipped_bits(len(content)):
        path.write_bytes(flip(content, bit))
        try:
            found = read_all(path)
        except UnreadableCheckpoint:
            refused += 1
        else:
            assert [bits[:2] for bits in found.values()] == [bits[:2] for bits in wanted.values()]
            assert differing(list(found.items()), list(wanted.items())) <= 1
    assert refused > 200


@examples(250)
@given(steps=mutations)
def test_a_mutated_file_is_refused_or_read_within_8_mb(
    tmp_path: Path, arrays: dict[str, Array], steps: list[Mutation]
) -> None:
    path = make_mindspore(tmp_path / "x", arrays, {"variant": "b0"})
    path.write_bytes(mutated(path.read_bytes(), steps))
    assert_refused_or_read(path)


@examples(100)
@given(steps=mutations)
def test_a_mutated_file_of_mindspore_itself_is_refused_or_read_within_8_mb(
    tmp_path: Path, steps: list[Mutation]
) -> None:
    (tmp_path / "x").write_bytes(mutated((GOLDEN / "ms2.10.0" / "append_str.ckpt").read_bytes(), steps))
    assert_refused_or_read(tmp_path / "x")


@examples(250)
@given(content=st.binary(max_size=300))
def test_arbitrary_content_of_a_tensor_is_refused_or_read_within_8_mb(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(GOOD + bytes_field(1, bytes_field(1, b"x") + bytes_field(2, content)))
    assert_refused_or_read(tmp_path / "x")


def test_a_declared_size_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(GOOD + b"\x0a" + varint(1 << 33) + b"\x0a\x01x\x12" + varint(1 << 33))
    assert peak_memory(lambda: refusal(tmp_path / "x")) < 1 << 20


def test_an_open_file_that_shrinks_is_refused(tmp_path: Path) -> None:
    path = make_mindspore(tmp_path / "x", {"x": np.zeros(5000, np.float32)})
    with open_checkpoint(path) as checkpoint:
        path.write_bytes(path.read_bytes()[:9000])
        with pytest.raises(UnreadableCheckpoint, match="ends at byte 9,000"):
            contents(checkpoint)

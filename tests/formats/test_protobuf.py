"""Protocol buffers: numbers and fields come back, and anything else is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from effconvert.formats.protobuf import (
    WireError,
    as_signed,
    bytes_field,
    fields,
    fixed32_field,
    number_field,
    read_varint,
    varint,
)
from helpers.formats.building import examples

LARGEST = (1 << 64) - 1


@examples(300)
@given(st.integers(0, LARGEST), st.binary(max_size=3))
@example(LARGEST, b"")
@example(0, b"\xff")
def test_unsigned_numbers_come_back(value: int, behind: bytes) -> None:
    content = varint(value)
    assert read_varint(content + behind, 0) == (value, len(content))


@examples(300)
@given(st.integers(-(1 << 63), (1 << 63) - 1))
@example(-1)
def test_signed_numbers_come_back(value: int) -> None:
    assert as_signed(read_varint(varint(value), 0)[0]) == value


@pytest.mark.parametrize(
    ("value", "content"), [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (150, "9601"), (-1, "ff" * 9 + "01")]
)
def test_numbers_are_written_as_the_specification_has_them(value: int, content: str) -> None:
    assert varint(value).hex() == content


def test_a_padded_number_is_read() -> None:
    assert read_varint(bytes.fromhex("81808000"), 0) == (1, 4)


@pytest.mark.parametrize("content", ["", "80", "ffff", "ff" * 9])
def test_a_number_that_does_not_end_is_refused(content: str) -> None:
    with pytest.raises(WireError, match="does not end"):
        read_varint(bytes.fromhex(content), 0)


@pytest.mark.parametrize("content", ["ff" * 10 + "01", "80" * 10 + "00", "ff" * 9 + "02", "80" * 9 + "7f"])
def test_a_number_beyond_64_bits_is_refused(content: str) -> None:
    with pytest.raises(WireError, match="too long"):
        read_varint(bytes.fromhex(content), 0)


def test_a_long_run_of_continuations_is_refused_at_its_eleventh_byte() -> None:
    with pytest.raises(WireError, match="too long"):
        read_varint(b"\xff" * 1_000_000, 0)


@examples(200)
@given(st.lists(st.tuples(st.integers(1, 1 << 28), st.integers(1, LARGEST) | st.binary(max_size=30))))
def test_fields_come_back_in_order(content: list[tuple[int, int | bytes]]) -> None:
    data = b"".join(
        number_field(number, value) if isinstance(value, int) else bytes_field(number, value)
        for number, value in content
    )
    assert list(fields(data)) == content


def test_fixed_numbers_come_back() -> None:
    assert list(fields(fixed32_field(6, 0xDEADBEEF))) == [(6, 0xDEADBEEF)]
    assert list(fields(b"\x09" + (1 << 63).to_bytes(8, "little"))) == [(1, 1 << 63)]


def test_zero_is_left_out() -> None:
    assert number_field(1, 0) == fixed32_field(6, 0) == b""


@pytest.mark.parametrize("kind", [3, 4, 6, 7])
def test_groups_and_unknown_kinds_are_refused(kind: int) -> None:
    with pytest.raises(WireError, match=f"of kind {kind}"):
        list(fields(bytes([1 << 3 | kind, 0])))


def test_field_0_is_refused() -> None:
    with pytest.raises(WireError, match="numbered 0"):
        list(fields(b"\x00\x01"))


@pytest.mark.parametrize("content", ["0a05616263", "0affffffffffffffff7f", "0d010203", "0901020304050607"])
def test_a_field_longer_than_its_message_is_refused(content: str) -> None:
    with pytest.raises(WireError, match="longer than its message"):
        list(fields(bytes.fromhex(content)))


@examples(300)
@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_message_or_refused(content: bytes) -> None:
    try:
        for number, value in fields(content):
            assert number > 0
            assert isinstance(value, int | bytes)
    except WireError:
        pass

"""Arrays of numpy in a pickle are read bit for bit, from their place in the file, and lie about nothing."""

import pickle
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import Array, open_checkpoint
from helpers.formats.building import examples, expected, peak_memory, read_all, refusal
from helpers.formats.pickles import found, integer, integers, state_dict, tensor, text, write, write_legacy
from helpers.formats.torch_attacks import called
from helpers.formats.torch_files import PROTOCOLS, save

TYPES: list[Any] = [ml_dtypes.bfloat16]
TYPES += "f2 f4 f8 b1 i1 i2 i4 i8 u1 u2 u4 u8 c8 c16".split()
CORES = ("numpy.core", "numpy._core")  # before numpy 2.0, and since


def dump(path: Path, value: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def values_of(kind: Any) -> Array:
    return (np.arange(300) % 251).astype(kind).reshape(4, 75)


WRITERS = {
    "torch.save": lambda path, value, protocol: save(path, value, True, protocol),
    "torch.save before 1.6": lambda path, value, protocol: save(path, value, False, protocol),
    "pickle.dump": dump,
}


@pytest.mark.parametrize("write_file", WRITERS.values(), ids=WRITERS.keys())
@PROTOCOLS
@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_arrays_of_every_type_are_read(tmp_path: Path, kind: Any, protocol: int, write_file: Any) -> None:
    values = values_of(kind)
    arrays = {
        "whole": values,
        "columns first": np.asfortranarray(values),
        "turned": values.reshape(2, 2, 75).transpose(1, 2, 0),
        "moved": np.ascontiguousarray(values.reshape(2, 2, 75)).transpose(1, 0, 2),
        "part": values[1:, ::2],
        "short": values[0, :3].copy(),
        "number": values[0, 1:2].reshape(()).copy(),
        "empty": values[:0].copy(),
        "fixed": np.frombuffer(values.tobytes(), values.dtype),
    }
    path = write_file(tmp_path / "x.pth", arrays, protocol)
    assert read_all(path) == expected(arrays)
    with open_checkpoint(path) as checkpoint:
        assert not any(checkpoint.read(name).flags.writeable for name in arrays)
        assert [checkpoint.tensors[name].dtype for name in arrays] == [array.dtype for array in arrays.values()]


@examples(200)
@given(
    array=arrays_of.arrays(
        st.sampled_from([np.float32, np.int8, np.uint16, np.float64]),
        arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
        elements={"allow_nan": False},
    ),
    protocol=st.integers(2, 5),
    axes=st.randoms(use_true_random=False),
)
def test_any_shape_in_any_order_is_read(tmp_path: Path, array: Array, protocol: int, axes: Any) -> None:
    order = [*range(array.ndim)]
    axes.shuffle(order)
    turned = array.transpose(order)
    path = dump(tmp_path / "x.pkl", {"x": turned}, protocol)
    assert read_all(path) == expected({"x": turned})


def test_the_checksum_of_an_array_is_that_of_its_bytes(tmp_path: Path) -> None:
    """Of what was written, and read again: what moves through a pickle must be what is compared."""
    arrays = {"x": values_of("f4"), "y": np.asfortranarray(values_of("f8"))}
    with (
        open_checkpoint(save(tmp_path / "x.pth", arrays)) as one,
        open_checkpoint(
            save(tmp_path / "y.pth", {name: torch.tensor(array) for name, array in arrays.items()})
        ) as other,
    ):
        assert [one.checksum(name) for name in arrays] == [other.checksum(name) for name in arrays]


def test_arrays_and_tensors_stand_beside_each_other(tmp_path: Path) -> None:
    path = save(tmp_path / "x.pth", {"x": torch.ones(2), "y": values_of("f4"), "rng": np.random.get_state()})
    assert [*read_all(path)] == ["x", "y", "rng/1"]


OTHER: dict[str, tuple[Array, str]] = {
    "objects": (np.array([[1], None], object), "type O8, which is not read"),
    "texts": (np.array(["ab"]), "type U2, which is not read"),
    "bytes": (np.array([b"ab"]), "type S2, which is not read"),
    "floats of four bits": (np.ones(2, ml_dtypes.float4_e2m1fn), "type ml_dtypes.float4_e2m1fn, which is not read"),
    "dates": (np.array(["2020-01-01"], "M8[D]"), "type M8, which is not read"),
    "records": (np.zeros(2, [("a", "f4"), ("b", "i4")]), "type V8, which is not read"),
    "the other order": (np.arange(9, dtype=">f4"), "type f4 in big-endian order"),
}


@PROTOCOLS
@pytest.mark.parametrize(("array", "reason"), OTHER.values(), ids=OTHER.keys())
def test_other_arrays_are_listed_with_the_reason(tmp_path: Path, array: Array, reason: str, protocol: int) -> None:
    path = save(tmp_path / "x.pth", {"x": torch.ones(1), "y": array}, protocol=protocol)
    with open_checkpoint(path) as checkpoint:
        assert [*checkpoint.tensors] == ["x"]
        assert reason in checkpoint.skipped["y"]
    assert reason in refusal(save(path, {"y": array}, protocol=protocol))


@PROTOCOLS
def test_a_number_of_numpy_is_a_number(tmp_path: Path, protocol: int) -> None:
    numbers = {"a": np.float64(0.5), "b": np.int64(-3), "c": np.bool_(True), "d": np.float32(2), "e": np.uint8(255)}
    path = save(tmp_path / "x.pth", {"x": torch.ones(1), **numbers, "f": np.str_("x")}, protocol=protocol)
    with open_checkpoint(path) as checkpoint:
        assert [*checkpoint.tensors] == ["x"]
        assert checkpoint.metadata == {"a": "0.5", "b": "-3", "c": "True", "d": "2.0", "e": "255"}


@PROTOCOLS
def test_opening_reads_no_numbers_and_reading_no_more_than_one_array(tmp_path: Path, protocol: int) -> None:
    large = np.full(1 << 20, np.pi)
    path = save(tmp_path / "x.pth", {"a": large, "b": large + 1, "c": large + 2}, protocol=protocol)
    assert peak_memory(lambda: open_checkpoint(path).close()) < 2 << 20
    with open_checkpoint(path) as checkpoint:
        peak = peak_memory(lambda: [checkpoint.read(name)[0] for name in checkpoint.tensors])
        assert checkpoint.read("c")[-1] == np.pi + 2
    # Bytes as a text are decoded in pieces; what was read last is there until the next is.
    assert peak < 2 * large.nbytes + (6 << 20)


def dtype(code: str = "f4", order: str = "<") -> bytes:
    state = b"(" + integer(3) + text(order) + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"t"
    return called(found("numpy", "dtype"), text(code), b"\x89", b"\x88") + state + b"b"


def array(data: bytes, shape: bytes = integers(4), kind: bytes | None = None, core: str = CORES[0]) -> bytes:
    """Return the instructions for an array, whose bytes the instructions `data` give."""
    empty = called(found(f"{core}.multiarray", "_reconstruct"), found("numpy", "ndarray"), integers(0), b"C\x01b")
    return empty + b"(" + integer(1) + shape + (dtype() if kind is None else kind) + b"\x89" + data + b"tb"


VALUES = np.arange(1, 5, dtype=np.float32)
DATA = b"C\x10" + VALUES.tobytes()


def encoded(content: str, codec: str = "latin1") -> bytes:
    return called(found("_codecs", "encode"), text(content), text(codec))


@pytest.mark.parametrize("core", CORES)
def test_an_array_of_either_numpy_is_read(tmp_path: Path, core: str) -> None:
    for data in (DATA, encoded(VALUES.tobytes().decode("latin-1"))):
        pickled = state_dict(array(data, core=core))
        assert read_all(write(tmp_path / "x.pth", pickled)) == expected({"x": VALUES})
        path = write_legacy(tmp_path / "x.pth", pickled, b"", keys=pickle.dumps([], 2))
        assert read_all(path) == expected({"x": VALUES})


LYING = {
    "more bytes than the shape": array(b"C\x14" + bytes(20)),
    "fewer bytes than the shape": array(b"C\x0c" + bytes(12)),
    "a large shape": array(DATA, integers(1 << 40)),
    "a shape that overflows": array(DATA, integers(1 << 62, 1 << 62, 0)),
    "a negative size": array(DATA, integers(-4)),
    "a size that is true": array(DATA, b"\x88\x85"),
    "a shape that is a list": array(DATA, b"](" + integer(4) + b"e"),
    "a hundred axes": array(DATA, integers(*[1] * 100)),
    "no bytes": array(b"N"),
    "a text": array(text("x" * 16)),
    "a text in another code": array(encoded("x" * 100, "rot13")),
    "too short a text": array(encoded("x" * 100), integers(26)),
    "too long a text": array(encoded("x" * 100), integers(12)),
    "a text of letters beyond bytes": array(encoded("\u0100" * 100), integers(25)),
    "a string that is not UTF-8": array(
        called(found("_codecs", "encode"), b"X" + (100).to_bytes(4, "little") + b"\xff" * 100, text("latin1")), integers(25)
    ),
    "a state that is none": array(DATA)[:-2] + b"0Nb",
    "a state that is built twice": array(DATA) + b"(" + integer(1) + integers(4) + dtype() + b"\x89" + DATA + b"tb",
    "a type without an order": array(DATA, kind=called(found("numpy", "dtype"), text("f4")) + b"Nb"),
    "a buffer of other size": called(found("numpy.core.numeric", "_frombuffer"), DATA, dtype(), integers(5), text("C")),
    "a buffer in no order": called(found("numpy.core.numeric", "_frombuffer"), DATA, dtype(), integers(4), text("X")),
    "a buffer with an axis twice": called(
        found("numpy.core.numeric", "_frombuffer"), DATA, dtype(), integers(2, 2), text("K"), integers(0, 0)
    ),
    "a buffer that is none": called(found("numpy.core.numeric", "_frombuffer"), b"N", dtype(), integers(4), text("C")),
}  # fmt: skip


@pytest.mark.parametrize("value", LYING.values(), ids=LYING.keys())
def test_an_array_that_lies_is_refused(tmp_path: Path, value: bytes) -> None:
    path = write(tmp_path / "x.pth", state_dict(tensor(), behind=text("y") + value + b"s"))
    assert peak_memory(lambda: refusal(path)) < 4 << 20


def test_a_text_with_more_bytes_than_its_array_is_found_when_it_is_read(tmp_path: Path) -> None:
    """How many letters a text has is known only when it is decoded."""
    content = "\xff" * 10 + "x" * 100
    for count in (28, 29):  # 110 letters in 120 bytes, where an array of 112 or 116 is said to be
        path = write(tmp_path / "x.pth", state_dict(array(encoded(content), integers(count))))
        with open_checkpoint(path) as checkpoint, pytest.raises(UnreadableCheckpoint, match="the array at byte"):
            checkpoint.read("x")


def test_a_type_that_is_changed_later_changes_no_array(tmp_path: Path) -> None:
    kind = dtype()[:-1] + b"bq\x05"
    again = b"h\x05(" + integer(3) + text(">") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb0"
    path = write(tmp_path / "x.pth", state_dict(array(DATA, kind=kind), behind=again))
    assert read_all(path) == expected({"x": VALUES})


def test_a_file_of_pickle_dump_ends_with_its_pickle(tmp_path: Path) -> None:
    path = dump(tmp_path / "x.pkl", {"x": VALUES})
    path.write_bytes(path.read_bytes() + b"more")
    assert "4 bytes follow the pickle" in refusal(path)


@PROTOCOLS
def test_tensors_of_pickle_dump_are_refused_with_the_remedy(tmp_path: Path, protocol: int) -> None:
    message = refusal(dump(tmp_path / "x.pkl", {"x": torch.ones(2)}, protocol))
    assert "pickle.dump wrote its tensors" in message
    assert "torch.save it" in message


def test_a_file_of_pickle_dump_without_arrays_is_said_to_hold_none(tmp_path: Path) -> None:
    assert "none a tensor" in refusal(dump(tmp_path / "x.pkl", {"a": 1}))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_every_truncation_of_a_file_of_pickle_dump_is_refused(tmp_path: Path, protocol: int) -> None:
    path = dump(tmp_path / "x.pkl", {"x": values_of("f4"), "y": VALUES}, protocol)
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        refusal(path)

"""A pickle cannot lie about its tensors, change them after they were checked, or exhaust the reader."""

import time
from pathlib import Path

import numpy as np
import pytest

from effconvert.formats.torch.tensors import PickleError, Storage, Tensor
from helpers.formats.building import bits, peak_memory, read_all, refusal
from helpers.formats.pickles import VALUES, found, integer, integers, load, state_dict, storage, tensor, text, write

FLOAT = np.dtype(np.float32)
TWICE = b"0h\x00h\x00\x86q\x00"  # drop the value, push it twice from the memo, make a pair, remember it


def test_a_hand_written_pickle_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pth", state_dict(tensor()))
    assert read_all(path) == {"x": bits(np.frombuffer(VALUES, np.float32))}


def test_a_pickle_becomes_plain_values() -> None:
    assert load(b"\x80\x02]q\x00(K\x01M\x00\x01J\xff\xff\xff\xff\x8a\x01\x02G?\xf0" + bytes(6) + b"N\x88\x89e.") == [
        *(1, 256, -1, 2, 1.0, None, True, False)
    ]
    assert load(state_dict(tensor())) == {"x": Tensor(Storage("0", FLOAT, 4), FLOAT, 0, (4,), (1,))}


SHAPES = {
    "more than the storage": (integers(5), integers(1), integer(0)),
    "an offset beyond the storage": (integers(1), integers(1), integer(4)),
    "an offset that pushes it out": (integers(4), integers(1), integer(1)),
    "strides that lead out": (integers(2, 2), integers(3, 1), integer(0)),
    "a large stride": (integers(2), integers(1 << 62), integer(0)),
    "strides that overflow": (integers(3, 3), integers(1 << 63, 1 << 63), integer(0)),
    "a stride of many digits": (integers(2), integers(1 << 800), integer(0)),
    "a negative stride": (integers(4), integers(-1), integer(3)),
    "a negative offset": (integers(4), integers(1), integer(-1)),
    "a negative size": (integers(-1), integers(1), integer(0)),
    "fewer strides than sizes": (integers(2, 2), integers(1), integer(0)),
    "more strides than sizes": (integers(2), integers(1, 1), integer(0)),
    "a size that is true": (b"\x88\x85", integers(1), integer(0)),
    "a size that is a fraction": (b"G?\xf0" + bytes(6) + b"\x85", integers(1), integer(0)),
    "a shape that is a text": (text("4"), integers(1), integer(0)),
    "a shape that is nothing": (b"N", integers(1), integer(0)),
    "a shape that is a number": (integer(4), integers(1), integer(0)),
    "a repeated number": (integers(1 << 40), integers(0), integer(0)),
    "a repeated storage": (integers(1 << 20, 1 << 20), integers(0, 0), integer(0)),
    "an empty shape that no array has": (integers(0, 1 << 62), integers(1, 1), integer(0)),
    "an empty shape beyond 64 bits": (integers(0, 1 << 800), integers(1, 1), integer(0)),
    "a hundred axes": (integers(*[1] * 100), integers(*[1] * 100), integer(0)),
    "a hundred thousand axes": (integers(*[9] * 100_000), integers(*[9] * 100_000), integer(0)),
}


@pytest.mark.parametrize(("shape", "strides", "offset"), SHAPES.values(), ids=SHAPES.keys())
def test_a_tensor_outside_of_its_storage_is_refused(
    tmp_path: Path, shape: bytes, strides: bytes, offset: bytes
) -> None:
    message = refusal(write(tmp_path / "x.pth", state_dict(tensor(shape, strides, offset))))
    assert "tensor" in message
    assert len(message) < 1000


STORAGES = {
    "a negative count": storage(integer(-4)),
    "a count that is true": storage(b"\x88"),
    "a count that is a text": storage(text("4")),
    "another kind": storage(kind=text("typed_storage")),
    "a kind that is not a string": storage(kind=b"N"),
    "a key that is a number": storage(key=integer(0)),
    "a key with a control character": storage(key=text("0\x00")),
    "a pair of the same": b"(" + text("storage") * 5 + b"tQ",
    "not a storage": text("storage"),
    "a list": b"]",
}


@pytest.mark.parametrize("held", STORAGES.values(), ids=STORAGES.keys())
def test_a_storage_that_is_none_is_refused(tmp_path: Path, held: bytes) -> None:
    refusal(write(tmp_path / "x.pth", state_dict(tensor(held=held))))


def test_a_stride_that_is_never_used_may_be_any_number(tmp_path: Path) -> None:
    shapes = {"one": (integers(1, 4), integers(1 << 800, 1)), "none": (integers(0), integers(1 << 800))}
    for shape, strides in shapes.values():
        read_all(write(tmp_path / "x.pth", state_dict(tensor(shape, strides))))


def test_an_empty_tensor_may_begin_anywhere(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pth", state_dict(tensor(integers(0), offset=integer(1 << 800))))
    assert read_all(path)["x"] == bits(np.zeros(0, np.float32))


@pytest.mark.parametrize("value", [tensor(), storage(), found("torch", "FloatStorage"), tensor()[:30], b"]", b")"])
def test_nothing_but_a_dict_can_be_built(tmp_path: Path, value: bytes) -> None:
    """BUILD writes into the fields of any object: a larger shape, after the shape was checked."""
    larger = b"}(" + text("shape") + integers(1 << 40) + text("strides") + integers(0) + b"u"
    slots = b"N}" + text("__defaults__") + b")s\x86"
    for state in (larger, b"}", slots):
        refusal(write(tmp_path / "x.pth", state_dict(value + state + b"b")))


@pytest.mark.parametrize("method", ["items", "keys", "__iter__", "__setstate__", "__class__"])
def test_building_a_dict_changes_nothing_about_it(tmp_path: Path, method: str) -> None:
    state = b"}" + text(method) + found("collections", "OrderedDict") + b"s"
    path = write(tmp_path / "x.pth", state_dict(tensor(), behind=state + b"b"))
    assert list(read_all(path)) == ["x"]
    hidden = state_dict(tensor(), name=text("a\nb"), behind=state + b"b")
    assert "no framework writes" in refusal(write(tmp_path / "x.pth", hidden))


@pytest.mark.parametrize("name", [text("a\nb"), text("\u202e"), text("x" * 5000), text("a\x00")])
def test_a_name_that_no_framework_writes_is_refused(tmp_path: Path, name: bytes) -> None:
    message = refusal(write(tmp_path / "x.pth", state_dict(tensor(), name=name)))
    assert len(message) < 1000


def test_a_number_is_a_name(tmp_path: Path) -> None:
    assert list(read_all(write(tmp_path / "x.pth", state_dict(tensor(), name=b"K\x01")))) == ["1"]


@pytest.mark.parametrize(
    "pickle",
    [b"\x80\x02}.", b"\x80\x02N.", b"\x80\x02].", b"\x80\x02" + text("x") + b".", b"\x80\x02" + tensor() + b"."],
)
def test_what_is_no_dict_of_tensors_is_refused(tmp_path: Path, pickle: bytes) -> None:
    assert "holds no dict of tensors" in refusal(write(tmp_path / "x.pth", pickle))


@pytest.mark.parametrize("value", [b"K\x01", text("x"), b"N", b"}", storage(), found("torch", "IntStorage")])
def test_a_dict_without_tensors_is_refused_with_what_it_holds(tmp_path: Path, value: bytes) -> None:
    message = refusal(write(tmp_path / "x.pth", state_dict(value)))
    assert "'x'), none a tensor" in message or "x: a storage without a shape" in message


@pytest.mark.parametrize("key", [b"]", b"}", found("torch", "IntStorage"), found("collections", "OrderedDict")])
def test_a_key_that_can_be_none_is_refused(key: bytes) -> None:
    with pytest.raises(PickleError, match="a key of a type that cannot be one"):
        load(state_dict(tensor(), name=key))


THING = found("some.module", "Thing")
KEYS = {
    "<some.module.Thing>": THING,
    "<some.module.Thing 0>": THING + b")\x81",
    "(1, a, None)": b"K\x01" + text("a") + b"N\x87",
    "<tuple 0>": b")" + b"\x85" * 3,
    "<tensor 0>": tensor(),
    "<storage 0>": storage(),
    "<bytes 0>": b"C\x01x",
    "<builtins.frozenset 0>": b"(K\x01\x91",
    str(1 << 61): integer(1 << 61),
    str(-(1 << 1000)): integer(-(1 << 1000)),
}


@pytest.mark.parametrize(("shown", "key"), KEYS.items(), ids=KEYS.keys())
def test_a_key_that_is_no_text_is_shown_in_the_name(tmp_path: Path, shown: str, key: bytes) -> None:
    """Lightning before 1.6 keeps the state of a callback by its class."""
    assert list(read_all(write(tmp_path / "x.pth", state_dict(tensor(), name=key)))) == [shown]


def test_keys_that_are_shown_alike_are_two_keys(tmp_path: Path) -> None:
    behind = b"(" + THING + b")\x81" + tensor() + THING + b")\x81" + tensor() + b"u"
    path = write(tmp_path / "x.pth", state_dict(tensor(), behind=behind))
    assert list(read_all(path)) == ["x", "<some.module.Thing 1>", "<some.module.Thing 2>"]
    behind = b"(" + THING + tensor() + THING + tensor() + b"u"
    assert "two tensors have the same name" in refusal(write(tmp_path / "x.pth", state_dict(tensor(), behind=behind)))


def test_a_key_that_stands_twice_is_refused() -> None:
    for behind in (text("x") + tensor() + b"s", b"(" + text("y") + tensor() + text("y") + tensor() + b"u"):
        with pytest.raises(PickleError, match="duplicate key"):
            load(state_dict(tensor(), behind=behind))


@pytest.mark.parametrize("depth", [100, 300_000])
def test_a_deeply_nested_key_does_not_end_the_process(depth: int) -> None:
    """To hash a tuple of a tuple of a tuple … takes as much of the C stack as it is deep."""
    for key in (b")" + b"\x85" * depth, THING + b")\x81" + b"\x85" * depth, THING + b")\x81" + b")R" * depth):
        (found_key,) = load(state_dict(tensor(), name=key))
        assert str(found_key).startswith("<")


def test_numbers_that_share_a_hash_cost_no_more_than_others() -> None:
    """As keys of a dict of Python's, each would be compared with all before it: five minutes for these."""
    colliding = b"".join(integer(number * ((1 << 61) - 1)) + b"N" for number in range(1, 100_000))
    started = time.process_time()
    assert len(load(b"\x80\x02}(" + colliding + b"u.")) == 99_999
    assert time.process_time() - started < 10


@pytest.mark.parametrize("end", [b".", b"Q.", b"R.", b"N" + tensor() + b"s.", b")R.", b"b.", b"\x93."])
def test_a_value_of_two_to_the_60_parts_is_never_gone_through(tmp_path: Path, end: bytes) -> None:
    refusal(write(tmp_path / "x.pth", b"\x80\x02})q\x00" + TWICE * 60 + end))


def test_a_value_that_holds_itself_is_refused(tmp_path: Path) -> None:
    refusal(write(tmp_path / "x.pth", b"\x80\x02}" + text("x") + b"]q\x00h\x00as."))
    refusal(write(tmp_path / "x.pth", b"\x80\x02}q\x00" + text("x") + b"h\x00s."))


@pytest.mark.parametrize("number", [1 << 20, (1 << 31) - 1, (1 << 32) - 1])
def test_a_high_number_in_the_memo_takes_no_memory(tmp_path: Path, number: int) -> None:
    path = write(tmp_path / "x.pth", state_dict(b"r" + number.to_bytes(4, "little") + tensor()))
    assert peak_memory(lambda: read_all(path)) < 1 << 20


BROKEN = {
    "nothing": b"",
    "no end": b"\x80\x02}",
    "an empty stack": b"\x80\x02.",
    "too many dropped": b"\x80\x0200.",
    "a mark that is missing": b"\x80\x02t.",
    "a value behind a mark": b"\x80\x02}(0.",
    "a mark at the end": b"\x80\x02}(.",
    "a number that is not remembered": b"\x80\x02h\x07.",
    "nothing to remember": b"\x80\x02q\x00.",
    "a key without value": b"\x80\x02}(" + text("x") + b"u.",
    "a key that is taken from below": b"\x80\x02}" + text("x") + b"s.",
    "items of no dict": b"\x80\x02](" + text("x") + text("y") + b"u.",
    "elements of no list": b"\x80\x02}(" + text("x") + b"e.",
    "an unknown instruction": b"\x80\x02\xfe.",
    "a text that is none": b"\x80\x02X\x02\0\0\0\xff\xfe.",
    "a global without end": b"\x80\x02ccollections",
    "a call of too few arguments": b"\x80\x02" + found("torch._utils", "_rebuild_tensor_v2") + b")R.",
}


@pytest.mark.parametrize("pickle", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_pickle_is_refused(tmp_path: Path, pickle: bytes) -> None:
    assert "its pickle" in refusal(write(tmp_path / "x.pth", pickle))


def test_every_truncation_of_a_pickle_is_refused() -> None:
    whole = state_dict(tensor())
    for length in range(len(whole)):
        with pytest.raises(PickleError):
            load(whole[:length])

"""Tensors are found and named however deep they lie, in all that trainers leave beside them."""

import argparse
import collections
import copyreg
import datetime
import pathlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from effconvert.formats import open_checkpoint
from effconvert.formats.torch.content import OUR_TEXTS
from effconvert.identify.description import Description
from helpers.formats.building import bits, expected, make_torch, peak_memory, read_all, refusal
from helpers.formats.pickles import integer, state_dict, tensor, text, write
from helpers.formats.torch_files import FORMS, PROTOCOLS, as_numpy, read_metadata, save


@FORMS
def test_names_of_nested_levels_are_joined(tmp_path: Path, zipped: bool) -> None:
    tensors = [torch.full((2,), float(number)) for number in range(5)]
    nested = {
        "state_dict": collections.OrderedDict({"stem.weight": tensors[0]}),
        "optimizer": {"state": {0: {"exp_avg": tensors[1]}}, "param_groups": [{"params": [0]}]},
        "list": [tensors[2], (tensors[3],)],
        "plain": tensors[4],
    }
    names = ["state_dict/stem.weight", "optimizer/state/0/exp_avg", "list/0", "list/1/0", "plain"]
    read = read_all(save(tmp_path / "x.pth", nested, zipped))
    assert read == expected({name: value.numpy() for name, value in zip(names, tensors, strict=True)})
    assert list(read) == names


def everything(model: torch.nn.Module) -> dict[str, Any]:
    """Return a training file with all that the table of globals lists as inert, and that Python can pickle."""
    noted = torch.ones(2)
    noted.note = "x"  # type: ignore[attr-defined]
    return {
        "model": model.state_dict(),
        "args": argparse.Namespace(
            model="b0", lr=0.1, out=pathlib.Path("out"), device=torch.device("cpu"), betas=[0.9]
        ),
        "numpy": {"array": np.arange(4.0), "scalar": np.float64(1), "text": np.array(["a"]), "flag": np.bool_(True)},
        "sets": [{1, 2}, frozenset([3])],
        "bytes": [b"", b"abc", bytearray(b"x")],
        "dicts": [collections.defaultdict(list, {1: [2]}), collections.Counter("aab")],
        "times": [datetime.datetime(2020, 1, 1), datetime.date(2020, 1, 1), datetime.timedelta(1)],
        "torch": [torch.float32, torch.uint16, torch.ones(2, 3).shape, torch.strided, torch.per_tensor_affine],
        "numbers": [1j, 1 << 70, -1, 1.5, None, True, slice(1, 2)],
        "parameter": torch.nn.Parameter(torch.ones(3)),
        "buffer": torch.nn.Buffer(torch.ones(3)),
        "noted": noted,
        "words": "x" * 100_000,
    }


@PROTOCOLS
@FORMS
def test_what_trainers_leave_beside_the_tensors_is_passed_over(tmp_path: Path, zipped: bool, protocol: int) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    found = read_all(save(tmp_path / "x.pth", everything(model), zipped, protocol))
    weights = {f"model/{name}": as_numpy(value) for name, value in model.state_dict().items()}
    others = {"parameter": np.ones(3, np.float32), "buffer": np.ones(3, np.float32), "noted": np.ones(2, np.float32)}
    assert found == expected({**weights, "numpy/array": np.arange(4.0), **others})


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:Sparse")
@PROTOCOLS
@FORMS
def test_tensors_that_are_not_read_are_listed_with_the_reason(tmp_path: Path, zipped: bool, protocol: int) -> None:
    tensors = {
        "x": torch.ones(2),
        "sparse": torch.eye(2).to_sparse(),
        "compressed": torch.eye(2).to_sparse_csr(),
        "quantized": torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8),
        "quantized by channel": torch.quantize_per_channel(
            torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.qint8
        ),
        "meta": torch.ones(2, device="meta"),
        "conjugated": torch.ones(2, dtype=torch.complex64).conj(),
        "storage": torch.ones(2).untyped_storage(),
    }
    path = save(tmp_path / "x.pth", tensors, zipped, protocol)
    with open_checkpoint(path) as checkpoint:
        assert list(checkpoint.tensors) == ["x"]
        assert checkpoint.skipped.keys() == tensors.keys() - {"x"}
        assert checkpoint.skipped["quantized"] == "quantized (qint8); dequantize() before saving"
        assert checkpoint.skipped["meta"] == "on the device meta, which holds no numbers"
        assert checkpoint.skipped["storage"] == "a storage without a shape"


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64, torch.complex64, torch.complex128])
def test_types_without_a_storage_of_their_own_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.arange(12).to(dtype).reshape(3, 4)
    tensors = {"whole": values, "turned": values.t(), "part": values[1:, 2:]}
    found = read_all(save(tmp_path / "x.pth", tensors))
    assert found == expected({name: value.contiguous().numpy() for name, value in tensors.items()})


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"])
def test_floats_of_eight_bits_are_read(tmp_path: Path, name: str) -> None:
    values = torch.arange(6.0).to(getattr(torch, name))
    dtype, shape, data = read_all(save(tmp_path / "x.pth", {"x": values}))["x"]
    assert (str(dtype), shape, data) == (name, (6,), values.view(torch.uint8).numpy().tobytes())


def test_two_tensors_of_one_name_are_refused(tmp_path: Path) -> None:
    one = torch.ones(1)
    for value in ({"a/b": one, "a": {"b": one}}, {"a": {0: one, "0": one}}):
        assert "two tensors have the same name:" in refusal(save(tmp_path / "x.pth", value))


def test_a_file_without_tensors_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    words = {
        "a dict of 2 values ('epoch', 'arch'), none a tensor": {"epoch": 3, "arch": "b0"},
        "a value of type list": [1, 2, [3]],
        "a value of type str": "b0",
        "a single tensor, without a name": torch.ones(2),
        "1 tensors that are not read (x: sparse)": {"x": torch.eye(2).to_sparse()},
    }
    for word, value in words.items():
        assert word in refusal(save(tmp_path / "x.pth", value))


def test_short_values_of_the_first_two_levels_are_metadata(tmp_path: Path) -> None:
    value = {
        "x": torch.ones(1),
        "arch": "tf_efficientnet_b0",
        "epoch": 3,
        "metric": 76.5,
        "best": True,
        "args": argparse.Namespace(model="b0", nothing=None),
        "meta": {"mmengine_version": "0.10.7", "deeper": {"seed": 1}, "cfg": "a = 1\nb = \x1b[2J" + "x" * 600},
        "list": [1, 2],
    }
    texts = read_metadata(save(tmp_path / "x.pth", value))
    assert texts.pop("meta/cfg") == "a = 1\nb = \N{REPLACEMENT CHARACTER}[2J" + "x" * 486
    assert texts == {
        "arch": "tf_efficientnet_b0", "epoch": "3", "metric": "76.5", "best": "True", "args/model": "b0",
        "meta/mmengine_version": "0.10.7",
    }  # fmt: skip


def test_the_metadata_of_another_file_are_bounded(tmp_path: Path) -> None:
    many = {"x": torch.ones(1), **{str(number): number for number in range(1000)}, "a\nb": 1}
    assert len(read_metadata(save(tmp_path / "x.pth", many))) == 200


def test_the_metadata_of_another_file_cannot_pass_for_ours(tmp_path: Path) -> None:
    ours = dict.fromkeys(OUR_TEXTS, "1")
    assert read_metadata(save(tmp_path / "x.pth", {"x": torch.ones(1), **ours, "arch": "b0"})) == {"arch": "b0"}
    assert Description.__dataclass_fields__.keys() | {"format", "schema", "effconvert", "digest"} == OUR_TEXTS


def test_our_own_record_is_all_the_metadata(tmp_path: Path) -> None:
    path = make_torch(tmp_path / "x.pth", {"x": np.ones(1, np.float32)}, {"variant": "b0"})
    assert read_metadata(path) == {"variant": "b0"}
    assert read_metadata(make_torch(path, {"x": np.ones(1, np.float32)})) == {}


def test_a_view_among_others_is_verified_and_read_by_itself(tmp_path: Path) -> None:
    base = torch.arange(4 << 20, dtype=torch.float32)
    path = save(tmp_path / "x.pth", {"a": base[:10], "b": base[1000:1010], "all": base})
    with open_checkpoint(path) as checkpoint:
        peak = peak_memory(lambda: [checkpoint.read(name) for name in ("a", "b")])
        assert bits(checkpoint.read("b")) == bits(base[1000:1010].numpy())
    assert peak < 4 << 20
    content = bytearray(path.read_bytes())
    content[content.index(base[2000:2010].numpy().tobytes())] ^= 1
    path.write_bytes(content)
    assert "Bad CRC-32" in refusal(path)


def test_values_that_are_nested_too_deep_are_refused(tmp_path: Path) -> None:
    value: object = torch.ones(1)
    for _ in range(60):
        value = [value]
    assert "nested more than 40 levels deep" in refusal(save(tmp_path / "x.pth", value))


def test_a_value_that_stands_in_many_places_is_not_gone_through(tmp_path: Path) -> None:
    value: object = [1]
    for _ in range(35):
        value = [value, value]
    assert "needs far more work to read than any file" in refusal(save(tmp_path / "x.pth", {"x": value}))


def test_names_of_many_levels_are_bounded(tmp_path: Path) -> None:
    value: object = torch.ones(1)
    for _ in range(10):
        value = {"x" * 1000: value}
    assert "a name of more than 4,096 characters" in refusal(save(tmp_path / "x.pth", value))


def test_a_pickle_beyond_any_checkpoint_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pth", b"\x80\x02" + b"N0" * 500_000 + b".")
    assert "needs far more work to read than any file" in refusal(path)


THROWN_AWAY = {
    "texts": (text("x" * 65_000) + b"0") * 300,
    "numbers": (b"\x8a\xff" + bytes(255) + b"0") * 70_000,
}


@pytest.mark.parametrize("thrown_away", THROWN_AWAY.values(), ids=THROWN_AWAY.keys())
def test_what_a_pickle_throws_away_takes_no_memory(tmp_path: Path, thrown_away: bytes) -> None:
    path = write(tmp_path / "x.pth", b"\x80\x02" + thrown_away + b".")
    assert peak_memory(lambda: refusal(path)) < 2 << 20


def test_a_long_text_is_passed_over(tmp_path: Path) -> None:
    """mmengine's history of a long training is one."""
    path = write(tmp_path / "x.pth", state_dict(tensor(), behind=text("y") + text("é" * (10 << 20)) + b"s"))
    assert peak_memory(lambda: read_all(path)) < 4 << 20


def test_a_text_with_half_a_character_is_read(tmp_path: Path) -> None:
    """Python pickles the names of files so that are not text."""
    path = save(tmp_path / "x.pth", {"x": torch.ones(1), "file": "a\udcff"})
    assert read_metadata(path) == {"file": "a\N{REPLACEMENT CHARACTER}"}


def test_an_instruction_that_no_writer_uses_is_refused_by_name(tmp_path: Path) -> None:
    for code, name in ((b"2", "DUP"), (b"\x82\x01", "EXT1"), (b"o", "OBJ"), (b"\xfe", "the unknown instruction fe")):
        assert f"uses {name}, which" in refusal(write(tmp_path / "x.pth", state_dict(integer(1), behind=code)))


def test_extension_codes_are_not_looked_up(tmp_path: Path) -> None:
    copyreg.add_extension("collections", "OrderedDict", 0xF1)
    try:
        content = pickle.dumps({"x": collections.OrderedDict()}, 2)
    finally:
        copyreg.remove_extension("collections", "OrderedDict", 0xF1)
    assert "uses EXT1" in refusal(write(tmp_path / "x.pth", content))

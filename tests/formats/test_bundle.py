"""A TensorFlow bundle: what is written is read, bit for bit, from one data file or several."""

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from effconvert.formats import Array, open_checkpoint
from effconvert.formats.tensorflow.bundle import TensorFlowCheckpoint
from helpers.formats import bundles
from helpers.formats.building import bits, examples, expected, make_bundle, read_all

DTYPES = [
    *(np.dtype(code) for code in "f4 f8 f2 i1 i2 i4 i8 u1 u2 u4 u8 ? c8 c16".split()),
    *(np.dtype(kind) for kind in (ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fn)),
]
SHAPES = [(), (1,), (5,), (3, 3, 2, 4), (0,), (2, 0, 3), (1, 1, 1, 1, 1, 1)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_and_shape_comes_back(tmp_path: Path, dtype: np.dtype) -> None:
    rng = np.random.default_rng(1)
    arrays = {}
    for number, shape in enumerate(SHAPES):
        raw = rng.integers(0, 2 if dtype == np.bool_ else 256, (*shape, dtype.itemsize), np.uint8)
        arrays[f"t{number}"] = np.frombuffer(raw.tobytes(), dtype).reshape(shape)
    assert read_all(make_bundle(tmp_path / "model.ckpt", arrays)) == expected(arrays)


@examples(50)
@given(array=arrays_of.arrays(st.sampled_from([np.float32, np.int64, np.float16]), arrays_of.array_shapes(min_dims=0)))
def test_arbitrary_tensors_come_back(tmp_path: Path, array: Array) -> None:
    assert read_all(make_bundle(tmp_path / "model.ckpt", {"x": array})) == expected({"x": array})


def test_nan_payloads_and_negative_zero_are_kept(tmp_path: Path) -> None:
    words = np.array([0x7FC00001, 0xFFC12345, 0x7F800001, 0x80000000, 0x00000001, 0x7F800000], np.uint32)
    index = make_bundle(tmp_path / "model.ckpt", {"x": words.view(np.float32)})
    with open_checkpoint(index) as checkpoint:
        assert checkpoint.read("x").view(np.uint32).tolist() == words.tolist()


def test_what_is_read_cannot_be_written_to(bundle: Path) -> None:
    with open_checkpoint(bundle) as checkpoint:
        assert not any(checkpoint.read(name).flags.writeable for name in checkpoint.tensors)


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path, arrays: dict[str, Array]) -> None:
    first, second = (make_bundle(tmp_path / name / "model.ckpt", arrays) for name in ("one", "two"))
    for suffix in ("index", "data-00000-of-00001"):
        name = f"model.ckpt.{suffix}"
        assert first.with_name(name).read_bytes() == second.with_name(name).read_bytes()


def test_the_files_of_a_bundle_are_named(bundle: Path) -> None:
    with open_checkpoint(bundle) as checkpoint:
        assert [path.name for path in checkpoint.files] == [bundle.name, "model.ckpt.data-00000-of-00001"]
        assert checkpoint.format == "TensorFlow V2 checkpoint"


def test_names_out_of_order_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ascend"):
        make_bundle(tmp_path / "model.ckpt", {"b": np.zeros(1), "a": np.zeros(1)})


def test_tensors_lie_in_several_data_files(tmp_path: Path) -> None:
    parts = [np.arange(4, dtype=np.float32) + 10 * number for number in range(3)]
    entries = {b"t%d" % n: bundles.entry((4,), part.tobytes(), shard=n) for n, part in enumerate(parts)}
    index = bundles.write(tmp_path, entries, [part.tobytes() for part in parts])
    assert read_all(index) == expected({f"t{n}": part for n, part in enumerate(parts)})


def test_a_tensor_begins_at_its_offset(tmp_path: Path) -> None:
    values = np.arange(3, dtype=np.float32)
    index = bundles.write(
        tmp_path, {b"x": bundles.entry((3,), values.tobytes(), offset=5)}, [b"-----" + values.tobytes()]
    )
    assert read_all(index)["x"] == bits(values)


@pytest.mark.parametrize(("dtype", "reason"), [(7, "string tensor"), (20, "resource handle"), (21, "variant tensor")])
def test_a_tensor_that_is_no_array_is_skipped_with_a_reason(tmp_path: Path, dtype: int, reason: str) -> None:
    index = bundles.write(tmp_path, {b"graph": bundles.entry((), b"\x05hello", dtype=dtype)}, [b"\x05hello"])
    with open_checkpoint(index) as checkpoint:
        assert dict(checkpoint.skipped) == {"graph": reason}
        assert not checkpoint.tensors


def test_unknown_fields_of_an_entry_are_skipped(tmp_path: Path) -> None:
    extra = bytes.fromhex("f80107 fa0103616263")  # fields 31, a number and bytes
    index = bundles.write(tmp_path, {b"x": bundles.entry((), b"\0\0\x80\x3f") + extra}, [b"\0\0\x80\x3f"])
    assert read_all(index)["x"] == bits(np.array(1, np.float32))


def test_an_index_of_an_unusual_name_finds_its_data(tmp_path: Path, arrays: dict[str, Array]) -> None:
    index = make_bundle(tmp_path / "model.ckpt.index.best", arrays)
    with TensorFlowCheckpoint(index) as checkpoint:
        assert checkpoint.files[1].name == "model.ckpt.index.best.data-00000-of-00001"

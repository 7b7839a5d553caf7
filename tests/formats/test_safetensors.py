"""A safetensors file: this project and the safetensors library read what the other writes."""

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from effconvert.formats import Array, TensorInfo, open_checkpoint
from effconvert.formats.safetensors import write_safetensors
from helpers.formats.building import bits, contents, examples, expected, make_safetensors, read_all

TORCH_DTYPES = [
    *(torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.bool),
    *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
]
METADATA = {"format": "pt", "ключ": 'a "quoted"\nline', "": ""}


def torch_tensors(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    raw = torch.from_numpy(np.random.default_rng(2).integers(0, 2, 96, np.uint8))
    return {
        "matrix": raw.view(dtype).reshape(2, -1),
        "scalar": raw[:8].view(dtype)[0].clone(),
        "empty": raw[:0].view(dtype).reshape(0, 3),
    }


@pytest.mark.parametrize("dtype", TORCH_DTYPES, ids=str)
def test_the_library_reads_what_is_written(tmp_path: Path, dtype: torch.dtype) -> None:
    theirs = torch_tensors(dtype)
    safetensors.torch.save_file(theirs, tmp_path / "theirs.safetensors")
    with open_checkpoint(tmp_path / "theirs.safetensors") as checkpoint:
        ours = {name: checkpoint.read(name) for name in checkpoint.tensors}
    make_safetensors(tmp_path / "ours.safetensors", ours)
    back = safetensors.torch.load_file(tmp_path / "ours.safetensors")
    assert {name: (t.dtype, t.shape) for name, t in back.items()} == {n: (t.dtype, t.shape) for n, t in theirs.items()}
    for name, tensor in theirs.items():
        assert torch.equal(back[name].reshape(-1).view(torch.uint8), tensor.reshape(-1).view(torch.uint8))


def test_the_library_reads_the_metadata_that_is_written(tmp_path: Path, arrays: dict[str, Array]) -> None:
    path = make_safetensors(tmp_path / "x", arrays, METADATA)
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == METADATA
        assert {name: bits(file.get_tensor(name)) for name in file.keys()} == expected(arrays)  # noqa: SIM118


def test_what_the_library_writes_is_read(tmp_path: Path, arrays: dict[str, Array]) -> None:
    safetensors.numpy.save_file(arrays, tmp_path / "x", METADATA)
    with open_checkpoint(tmp_path / "x") as checkpoint:
        assert contents(checkpoint) == expected(arrays)
        assert checkpoint.metadata == METADATA
        assert checkpoint.format == "safetensors"


@examples(50)
@given(
    tensors=st.dictionaries(
        st.text(st.characters(categories=["L", "N", "P"]), min_size=1).filter(lambda name: name != "__metadata__"),
        arrays_of.arrays(st.sampled_from([np.float32, np.int64, np.bool_]), arrays_of.array_shapes(min_dims=0)),
        max_size=5,
    ),
    metadata=st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4),
)
def test_arbitrary_tensors_and_metadata_come_back(
    tmp_path: Path, tensors: dict[str, Array], metadata: dict[str, str]
) -> None:
    path = make_safetensors(tmp_path / "x", tensors, metadata)
    with open_checkpoint(path) as checkpoint:
        assert contents(checkpoint) == expected(tensors)
        assert checkpoint.metadata == metadata
    assert safetensors.numpy.load_file(path).keys() == tensors.keys()


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path, arrays: dict[str, Array]) -> None:
    backwards = dict(reversed(METADATA.items()))
    one = make_safetensors(tmp_path / "one", arrays, METADATA)
    two = make_safetensors(tmp_path / "two", arrays, backwards)
    assert one.read_bytes() == two.read_bytes()


def test_the_data_begins_at_a_multiple_of_eight(tmp_path: Path, arrays: dict[str, Array]) -> None:
    for length in range(9):
        content = make_safetensors(tmp_path / "x", arrays, {"x": "y" * length}).read_bytes()
        assert int.from_bytes(content[:8], "little") % 8 == 0


def test_texts_that_are_known_last_take_the_place_of_their_placeholders(tmp_path: Path) -> None:
    array = np.arange(3, dtype=np.float32)
    asked = []
    with (tmp_path / "x").open("wb") as file:
        infos = [TensorInfo("x", array.shape, array.dtype)]
        arrays = (asked.append("tensor") or array for _ in range(1))
        write_safetensors(file, infos, arrays, {"digest": "????"}, lambda: asked.append("late") or {"????": "1234"})
    assert asked == ["tensor", "late"]
    with open_checkpoint(tmp_path / "x") as checkpoint:
        assert checkpoint.metadata == {"digest": "1234"}
        assert contents(checkpoint) == {"x": bits(array)}


def test_nan_payloads_and_negative_zero_are_kept(tmp_path: Path) -> None:
    words = np.array([0x7FC00001, 0xFFC12345, 0x7F800001, 0x80000000], np.uint32)
    path = make_safetensors(tmp_path / "x", {"x": words.view(np.float32)})
    assert read_all(path)["x"] == bits(words.view(np.float32))


def test_tensors_are_listed_in_the_order_of_the_data(tmp_path: Path) -> None:
    header = {"late": [4, 8], "early": [0, 4]}
    entries = {name: {"dtype": "F32", "shape": [], "data_offsets": span} for name, span in header.items()}
    content = json.dumps(entries).encode()
    values = np.array([1, 2], np.float32)
    (tmp_path / "x").write_bytes(len(content).to_bytes(8, "little") + content + values.tobytes())
    with open_checkpoint(tmp_path / "x") as checkpoint:
        assert list(checkpoint.tensors) == ["early", "late"]
        assert checkpoint.read("late") == values[1]

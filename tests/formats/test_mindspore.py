"""A MindSpore checkpoint: what MindSpore wrote is read, and what is written are the bytes that MindSpore writes."""

import json
import weakref
from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from effconvert.formats import Array, TensorInfo, open_checkpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.mindspore import file as mindspore
from effconvert.formats.mindspore.file import write_mindspore
from helpers.formats.building import bits, contents, examples, expected, infos_of, read_all, refusal
from helpers.formats.mindspore_files import GOLDEN, dims, key_of, make_mindspore, value

VERSIONS = ("ms2.0.0", "ms2.10.0")
TRUTH = {version: json.loads((GOLDEN / version / "truth.json").read_text())["truth"] for version in VERSIONS}
READBACK = {version: json.loads((GOLDEN / version / "readback.json").read_text()) for version in VERSIONS}
FILES = sorted(f"{path.parent.name}/{path.name}" for path in GOLDEN.glob("ms*/*.ckpt"))
METADATA = {"variant": "b0", "ключ": 'a "quoted"\nline', "": ""}


def truth(version: str, name: str) -> dict[str, Array]:
    """The arrays of the network that MindSpore saved in a file."""
    known = TRUTH[version][name]
    return {
        parameter: np.frombuffer(bytes.fromhex(data), dtype).reshape(shape)
        for parameter, (shape, dtype, data) in known.items()
    }


@pytest.mark.parametrize(("version", "name"), [(version, name) for version in VERSIONS for name in TRUTH[version]])
def test_what_mindspore_writes_is_read_bit_for_bit(version: str, name: str) -> None:
    with open_checkpoint(GOLDEN / version / name, key_of(name)) as checkpoint:
        found = contents(checkpoint)
        wanted = expected(truth(version, name))
        assert {parameter: found[parameter] for parameter in wanted} == wanted
        assert list(found)[: len(wanted)] == list(wanted)
        assert checkpoint.format.startswith("MindSpore checkpoint")


@pytest.mark.parametrize("file", FILES)
def test_names_shapes_and_types_are_those_that_mindspore_reads(file: str) -> None:
    version, name = file.split("/")
    known = READBACK[version].get(name)
    with open_checkpoint(GOLDEN / file, key_of(name)) as checkpoint:
        found = {parameter: [list(i.shape), i.dtype.name] for parameter, i in checkpoint.tensors.items()}
        if not isinstance(known, dict):  # MindSpore cannot read what it wrote
            assert name in ("empty1.ckpt", "type_c64.ckpt")
            return
        tensors = {key: [spec[0], spec[1].lower()] for key, spec in known.items() if not isinstance(spec, str)}
        if version == "ms2.0.0":  # which reads its own scalars of truth values as one of them in a row
            tensors = {key: [[] if spec == [[1], "bool"] else spec[0], spec[1]] for key, spec in tensors.items()}
        assert found == tensors
        assert checkpoint.skipped.keys() == known.keys() - tensors.keys()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_text_is_no_tensor_but_is_shown(version: str) -> None:
    with open_checkpoint(GOLDEN / version / "append_str.ckpt") as checkpoint:
        assert checkpoint.skipped == {"note": "a string: 'héllo 你好'", "empty": "a string: ''"}
        added = {name: checkpoint.read(name)[()] for name in ("epoch_num", "lr", "flag")}
        assert added == {"epoch_num": 3, "lr": np.float32(0.1), "flag": True}


@pytest.mark.parametrize("kind", ["Complex64", "Int4", "Float8E4M3FN"])
def test_a_type_that_is_not_read_is_skipped_with_its_name(tmp_path: Path, kind: str) -> None:
    (tmp_path / "x").write_bytes(value("x", [1], kind, b"12345678") + value("y", [2], "UInt8", b"12"))
    with open_checkpoint(tmp_path / "x") as checkpoint:
        assert list(checkpoint.tensors) == ["y"]
        assert kind in checkpoint.skipped["x"]


def test_a_hash_table_is_skipped(tmp_path: Path) -> None:
    table = b"\x0a\x0e\x0a\x05table\x1a\x05\x0a\x03\x08\x02\x12"
    (tmp_path / "x").write_bytes(table + value("y", [2], "UInt8", b"12"))
    with open_checkpoint(tmp_path / "x") as checkpoint:
        assert list(checkpoint.tensors) == ["y"]
        assert "MapParameter" in checkpoint.skipped["table"]


@pytest.mark.parametrize(
    ("sizes", "content", "shape"),
    [([], b"\x07", ()), ([0], b"\x07", ()), ([0], b"", (0,)), ([0, 3], b"", (0, 3)), ([1], b"\x07", (1,))],
)
def test_both_ways_to_write_a_scalar_and_an_empty_tensor_are_told_apart(
    tmp_path: Path, sizes: list[int], content: bytes, shape: tuple[int, ...]
) -> None:
    (tmp_path / "x").write_bytes(value("x", sizes, "UInt8", content))
    with open_checkpoint(tmp_path / "x") as checkpoint:
        assert contents(checkpoint) == {"x": bits(np.frombuffer(content, np.uint8).reshape(shape))}


def test_fields_may_stand_in_any_order(tmp_path: Path) -> None:
    tensor = b"\x1a\x02ab" + b"\x12\x05UInt8" + dims([2])
    content = b"\x12" + bytes([len(tensor)]) + tensor + b"\x0a\x01x"
    (tmp_path / "x").write_bytes(value("first", [1], "Bool", b"\1") + b"\x0a" + bytes([len(content)]) + content)
    assert read_all(tmp_path / "x")["x"] == bits(np.frombuffer(b"ab", np.uint8))


@pytest.mark.parametrize("name", ["plain.ckpt", "types_all.ckpt", "type_bf16.ckpt", "fp16net.ckpt"])
def test_the_bytes_that_are_written_are_mindspores(tmp_path: Path, name: str) -> None:
    theirs = (GOLDEN / "ms2.10.0" / name).read_bytes()
    with open_checkpoint(GOLDEN / "ms2.10.0" / name) as checkpoint:
        arrays = {parameter: checkpoint.read(parameter) for parameter in checkpoint.tensors}
    ours = make_mindspore(tmp_path / "x", arrays).read_bytes()
    assert ours.startswith(theirs)
    assert ours[len(theirs) :] == b"\xc2\x3e\x13{}" + b" " * 17


def test_large_tensors_are_sliced_as_mindspore_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mindspore._SLICE == 512 << 20
    monkeypatch.setattr(mindspore, "_SLICE", 1024)
    arrays = truth("ms2.10.0", "sliced.ckpt")
    path = make_mindspore(tmp_path / "x", arrays, METADATA)
    assert path.read_bytes().startswith((GOLDEN / "ms2.10.0" / "sliced.ckpt").read_bytes())
    with open_checkpoint(path) as checkpoint:
        assert contents(checkpoint) == expected(arrays)
        assert checkpoint.checksum("big") == checkpoint.checksum("big")


def test_metadata_comes_back(tmp_path: Path, arrays: dict[str, Array]) -> None:
    with open_checkpoint(make_mindspore(tmp_path / "x", arrays, METADATA)) as checkpoint:
        assert checkpoint.metadata == METADATA
        assert contents(checkpoint) == expected(arrays)
        assert list(checkpoint.tensors) == list(arrays)
        assert checkpoint.files == (tmp_path / "x",)


def test_metadata_is_never_taken_for_a_checksum(tmp_path: Path, arrays: dict[str, Array]) -> None:
    for text in ("crc_num", "crc_num1234567890", "crc_num12345678", "crc_num" + "1" * 9):
        path = make_mindspore(tmp_path / "x", arrays, {"a": text})
        assert path.read_bytes()[-17:-10] != b"crc_num"
        with open_checkpoint(path) as checkpoint:
            assert checkpoint.metadata == {"a": text}


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path, arrays: dict[str, Array]) -> None:
    one = make_mindspore(tmp_path / "one", arrays, METADATA)
    two = make_mindspore(tmp_path / "two", arrays, dict(reversed(METADATA.items())))
    assert one.read_bytes() == two.read_bytes()


def test_texts_that_are_known_last_take_the_place_of_their_placeholders(tmp_path: Path) -> None:
    array = np.arange(3, dtype=np.float32)
    asked: list[str] = []

    def late() -> Mapping[str, str]:
        asked.append("late")
        return {"????": "1234"}

    with (tmp_path / "x").open("wb") as file:
        arrays = (asked.append("tensor") or array for _ in range(1))  # type: ignore[func-returns-value]
        write_mindspore(file, [TensorInfo("x", array.shape, array.dtype)], arrays, {"digest": "????"}, late)
    assert asked == ["tensor", "late"]
    with open_checkpoint(tmp_path / "x") as checkpoint:
        assert checkpoint.metadata == {"digest": "1234"}


@examples(50)
@given(
    tensors=st.dictionaries(
        st.text(st.characters(categories=["L", "N", "P"]), min_size=1),
        arrays_of.arrays(
            st.sampled_from([np.float32, np.int64, np.bool_, np.uint16, ml_dtypes.bfloat16]),
            arrays_of.array_shapes(min_dims=0, min_side=0),
            elements=st.sampled_from([0, 1]),
        ),
        min_size=1,
        max_size=5,
    ),
    metadata=st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=4),
)
def test_arbitrary_tensors_and_metadata_come_back(
    tmp_path: Path, tensors: dict[str, Array], metadata: dict[str, str]
) -> None:
    with open_checkpoint(make_mindspore(tmp_path / "x", tensors, metadata)) as checkpoint:
        assert contents(checkpoint) == expected(tensors)
        assert checkpoint.metadata == metadata


def test_nan_payloads_and_negative_zero_are_kept(tmp_path: Path) -> None:
    words = np.array([0x7FC00001, 0xFFC12345, 0x7F800001, 0x80000000], np.uint32)
    path = make_mindspore(tmp_path / "x", {"x": words.view(np.float32)})
    assert read_all(path)["x"] == bits(words.view(np.float32))


def test_opening_reads_no_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = np.zeros(1 << 20, np.float32)
    path = make_mindspore(tmp_path / "x", {f"tensor.{number}": large for number in range(20)}, METADATA)
    sizes: list[int] = []
    read = DataFile.read
    monkeypatch.setattr(DataFile, "read", lambda self, at, size: sizes.append(size) or read(self, at, size))
    open_checkpoint(path).close()
    assert sum(sizes) < path.stat().st_size / 500
    assert len(sizes) < 60


def test_a_checkpoint_is_known_by_its_content(tmp_path: Path, arrays: dict[str, Array]) -> None:
    for name in ("x", "x.pth", "x.index", "checkpoint", "saved_model.pb", "x.meta", "x.tar.gz"):
        with open_checkpoint(make_mindspore(tmp_path / name, arrays)) as checkpoint:
            assert checkpoint.format == "MindSpore checkpoint"


def test_a_graph_of_tensorflow_beside_its_checkpoint_is_not_taken_for_one(tmp_path: Path) -> None:
    meta_graph = b"\x0a\x15" + b"\x0a\x02v1" + b"\x22\x05serve" + b"\x2a\x062.21.0"
    (tmp_path / "model.meta").write_bytes(meta_graph)
    assert "its index model.index is not beside it" in refusal(tmp_path / "model.meta")


def test_a_checksum_is_verified(tmp_path: Path) -> None:
    content = (GOLDEN / "ms2.10.0" / "crc.ckpt").read_bytes()
    assert read_all(GOLDEN / "ms2.10.0" / "crc.ckpt") == read_all(GOLDEN / "ms2.10.0" / "plain.ckpt")
    for at in (40, 700, len(content) - 18, len(content) - 1):
        (tmp_path / "x").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert "its CRC-32 is" in refusal(tmp_path / "x")


def test_mindspores_safetensors_are_read_and_their_checksum_is_verified(tmp_path: Path) -> None:
    plain = expected(truth("ms2.10.0", "plain.ckpt"))
    assert read_all(GOLDEN / "ms2.10.0" / "plain.safetensors") == plain
    assert read_all(GOLDEN / "ms2.10.0" / "crc.safetensors") == plain
    content = (GOLDEN / "ms2.10.0" / "crc.safetensors").read_bytes()
    (tmp_path / "x").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "its CRC-32 is" in refusal(tmp_path / "x")


def test_arrays_are_taken_one_at_a_time(tmp_path: Path) -> None:
    alive: list[weakref.ref[Array]] = []

    def arrays() -> object:
        for _ in range(4):
            assert sum(reference() is not None for reference in alive) == 0
            array = np.zeros(1000, np.float32)
            alive.append(weakref.ref(array))
            yield array
            del array

    infos = infos_of({f"x{number}": np.zeros(1000, np.float32) for number in range(4)})
    with (tmp_path / "x").open("wb") as file:
        write_mindspore(file, infos, arrays(), {}, dict)  # type: ignore[arg-type]

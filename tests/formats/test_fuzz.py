"""A reader gives tensors or refuses a file, however it was changed, and takes no memory that the file lacks."""

import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from effconvert.formats import Array
from effconvert.formats.protobuf import WireError, fields
from effconvert.formats.tensorflow.leveldb_table import TableError, read_table, write_table
from effconvert.formats.torch.tensors import PickleError
from helpers.formats import bundles, tables
from helpers.formats.building import examples, make_bundle, make_safetensors, make_torch
from helpers.formats.mutations import Mutation, assert_refused_or_read, mutated, mutations
from helpers.formats.pickles import load, state_dict, tensor, write


@examples(250)
@given(steps=mutations)
def test_a_mutated_safetensors_file_is_refused_or_read_within_8_mb(
    tmp_path: Path, arrays: dict[str, Array], steps: list[Mutation]
) -> None:
    path = make_safetensors(tmp_path / "x", arrays, {"variant": "b0"})
    path.write_bytes(mutated(path.read_bytes(), steps))
    assert_refused_or_read(path)


@examples(250)
@given(steps=mutations)
def test_a_mutated_header_of_safetensors_is_refused_or_read_within_8_mb(
    tmp_path: Path, arrays: dict[str, Array], steps: list[Mutation]
) -> None:
    """Its length is mended, so that more than the length is tried."""
    content = make_safetensors(tmp_path / "x", arrays).read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = mutated(content[8:start], steps)
    (tmp_path / "x").write_bytes(len(header).to_bytes(8, "little") + header + content[start:])
    assert_refused_or_read(tmp_path / "x")


@examples(250)
@given(steps=mutations)
def test_a_mutated_index_is_refused_or_read_within_8_mb(
    tmp_path: Path, arrays: dict[str, Array], steps: list[Mutation]
) -> None:
    index = make_bundle(tmp_path / "model.ckpt", arrays)
    index.write_bytes(mutated(index.read_bytes(), steps))
    assert_refused_or_read(index)


@examples(250)
@given(steps=mutations, which=st.integers(0, 3))
def test_a_mutated_entry_of_an_index_is_refused_or_read_within_8_mb(
    tmp_path: Path, steps: list[Mutation], which: int
) -> None:
    """Its checksums are mended, so that more than the checksums are tried."""
    values = np.arange(8, dtype=np.float32).tobytes()
    index = bundles.write_sliced(tmp_path, (2, 4), {((0, 1), (0, -1)): values[:16], ((1, 1), (0, -1)): values[16:]})
    entries = list(read_table(index.read_bytes()))
    key, value = entries[which]
    entries[which] = (key, mutated(value, steps))
    index.write_bytes(write_table(entries))
    assert_refused_or_read(index)


@examples(250)
@given(steps=mutations)
def test_a_mutated_block_gives_ascending_keys_or_is_refused(steps: list[Mutation]) -> None:
    block = tables.block([tables.entry(b"", b"header"), tables.entry(b"a", b"1"), tables.entry(b"b", b"2", shared=1)])
    try:
        keys = [key for key, _ in read_table(tables.table([mutated(block, steps)]))]
        assert keys == sorted(set(keys))
    except TableError:
        pass


@examples(250)
@given(steps=mutations)
def test_a_mutated_torch_file_is_refused_or_read_within_8_mb(
    tmp_path: Path, arrays: dict[str, Array], steps: list[Mutation]
) -> None:
    path = make_torch(tmp_path / "x", {name: arrays[name] for name in ("a/half", "c/scalar")}, {"variant": "b0"})
    path.write_bytes(mutated(path.read_bytes(), steps))
    assert_refused_or_read(path)


@examples(250)
@given(steps=mutations)
def test_a_mutated_directory_of_a_torch_file_is_refused_or_read_within_8_mb(
    tmp_path: Path, steps: list[Mutation]
) -> None:
    path = write(tmp_path / "x", state_dict(tensor()))
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    path.write_bytes(content[:start] + mutated(content[start:], steps))
    assert_refused_or_read(path)


@examples(300)
@given(steps=mutations, protocol=st.sampled_from([2, 4]))
def test_a_mutated_pickle_is_refused_or_read_within_8_mb(tmp_path: Path, steps: list[Mutation], protocol: int) -> None:
    """Its record is written anew, so that more than the record's checksum is tried."""
    whole = pickle.dumps({"x": [1, 2.5, None, True, ("a", -1)], "y": {}}, protocol)
    for content in (mutated(state_dict(tensor()), steps), mutated(whole, steps)):
        with suppress(PickleError):
            load(content)
        assert_refused_or_read(write(tmp_path / "x", content))


@examples(250)
@given(content=st.binary(max_size=200))
def test_an_arbitrary_pickle_is_loaded_or_refused(content: bytes) -> None:
    with suppress(PickleError):
        load(b"\x80\x02" + content)


@examples(250)
@given(steps=mutations)
def test_a_mutated_message_is_parsed_or_refused(steps: list[Mutation]) -> None:
    with suppress(WireError):
        list(fields(mutated(bundles.entry((3, 4), b"1234"), steps)))


@examples(100)
@given(steps=mutations)
def test_a_mutated_file_of_torch_itself_is_refused_or_read_within_8_mb(tmp_path: Path, steps: list[Mutation]) -> None:
    torch.save({"a": torch.arange(6.0).reshape(2, 3).t(), "b": torch.ones(2, dtype=torch.bool)}, tmp_path / "x")
    (tmp_path / "x").write_bytes(mutated((tmp_path / "x").read_bytes(), steps))
    assert_refused_or_read(tmp_path / "x")

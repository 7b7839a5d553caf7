"""Shards and their index are one checkpoint, and an index that does not tell the truth is refused."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from effconvert.formats import Array, open_checkpoint
from helpers.formats.building import (
    bits,
    contents,
    expected,
    make_safetensors,
    make_torch,
    peak_memory,
    read_all,
    refusal,
)

INDEX = "model.safetensors.index.json"
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def write_index(folder: Path, weight_map: object, name: str = INDEX) -> Path:
    index = {"metadata": {"total_size": 7}, "weight_map": weight_map}
    (folder / name).write_text(json.dumps(index, indent=2, sort_keys=True))
    return folder / name


def halves(arrays: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    names = list(arrays)
    return {name: arrays[name] for name in names[:2]}, {name: arrays[name] for name in names[2:]}


@pytest.fixture
def index(tmp_path: Path, arrays: dict[str, Array]) -> Path:
    """The index of two shards that hold `arrays`."""
    first, second = halves(arrays)
    make_safetensors(tmp_path / ONE, first, {"format": "pt", "number": "1"})
    make_safetensors(tmp_path / TWO, second, {"format": "pt", "number": "2"})
    return write_index(tmp_path, dict.fromkeys(second, TWO) | dict.fromkeys(first, ONE))


def test_every_tensor_of_every_shard_is_read(index: Path, arrays: dict[str, Array]) -> None:
    with open_checkpoint(index) as checkpoint:
        assert checkpoint.format == "safetensors, 2 shards"
        assert checkpoint.files == (index, index.with_name(ONE), index.with_name(TWO))
        assert list(checkpoint.tensors) == list(arrays)
        assert contents(checkpoint) == expected(arrays)


def test_the_metadata_is_what_the_shards_have_in_common(index: Path) -> None:
    with open_checkpoint(index) as checkpoint:
        assert checkpoint.metadata == {"format": "pt"}


def test_a_checksum_is_that_of_the_tensor_in_its_shard(index: Path, arrays: dict[str, Array], tmp_path: Path) -> None:
    whole = make_safetensors(tmp_path / "whole", arrays)
    with open_checkpoint(index) as sharded, open_checkpoint(whole) as checkpoint:
        for name in arrays:
            assert sharded.checksum(name) == checkpoint.checksum(name)


def test_opening_reads_no_data(tmp_path: Path) -> None:
    make_safetensors(tmp_path / "one.safetensors", {"x": np.ones(4 << 20, np.uint8)})
    index = write_index(tmp_path, {"x": "one.safetensors"})
    assert peak_memory(lambda: open_checkpoint(index).close()) < 1 << 20


def test_shards_of_pytorch_are_read(tmp_path: Path, arrays: dict[str, Array]) -> None:
    names = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    for name, part in zip(names, halves(arrays), strict=True):
        make_torch(tmp_path / name, part)
    places = {tensor: name for name, part in zip(names, halves(arrays), strict=True) for tensor in part}
    assert read_all(write_index(tmp_path, places, "pytorch_model.bin.index.json")) == expected(arrays)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_is_its_model_file(tmp_path: Path, arrays: dict[str, Array], name: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    make = make_safetensors if name.endswith("safetensors") else make_torch
    make(tmp_path / name, arrays)
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.path == tmp_path / name
        assert contents(checkpoint) == expected(arrays)


def test_a_folder_is_its_index(index: Path, arrays: dict[str, Array]) -> None:
    assert read_all(index.parent) == expected(arrays)


def test_safetensors_come_before_pytorch_in_a_folder(index: Path, arrays: dict[str, Array]) -> None:
    make_torch(index.with_name("pytorch_model.bin"), {"x": np.zeros(2, np.float32)})
    assert read_all(index.parent) == expected(arrays)
    make_safetensors(index.with_name("model.safetensors"), {"y": np.ones(2, np.float32)})
    assert read_all(index.parent) == {"y": bits(np.ones(2, np.float32))}


def test_all_missing_shards_are_named(index: Path) -> None:
    index.with_name(ONE).unlink()
    index.with_name(TWO).unlink()
    message = refusal(index)
    assert "2 of its 2 shards" in message
    assert ONE in message
    assert TWO in message


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "c:x", "x\0", "y" * 300, 7, None, ["x"], {}]
)
def test_a_shard_is_the_plain_name_of_a_file_beside_the_index(tmp_path: Path, name: object) -> None:
    message = refusal(write_index(tmp_path, {"x": name, "y": "../another"}))
    assert "plain names" in message
    assert "'../another'" in message


def test_every_tensor_in_the_wrong_place_is_named(index: Path, arrays: dict[str, Array]) -> None:
    places = dict.fromkeys(halves(arrays)[0], ONE) | dict.fromkeys(halves(arrays)[1], TWO)
    wrong = places | {"a/half": TWO, "nowhere": ONE}
    del wrong["e/flag"]
    message = refusal(write_index(index.parent, wrong))
    assert f"a/half: in {ONE}, expected in {TWO}" in message
    assert f"nowhere: in no shard, expected in {ONE}" in message
    assert f"e/flag: in {TWO}, but not in the index" in message
    assert len(message.splitlines()) == 4


def test_a_tensor_in_two_shards_is_refused(index: Path, arrays: dict[str, Array]) -> None:
    first, second = halves(arrays)
    make_safetensors(index.with_name(TWO), second | {"a/half": first["a/half"]})
    assert f"a/half: in {ONE} and {TWO}, expected in {ONE}" in refusal(index)


def test_a_damaged_shard_is_named(index: Path) -> None:
    shard = index.with_name(TWO)
    shard.write_bytes(shard.read_bytes()[:-1])
    assert str(shard) in refusal(index)


@pytest.mark.parametrize("shard", [INDEX, "text"])
def test_a_shard_holds_tensors_itself(tmp_path: Path, shard: str) -> None:
    (tmp_path / "text").write_text("no tensors at all")
    assert "neither safetensors nor" in refusal(write_index(tmp_path, {"x": shard}))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "not the JSON"),
        (b"{}", "without the weight_map"),
        (b' {"weight_map": {}}', "without the weight_map"),
        (b'{"weight_map": ["x"]}', "without the weight_map"),
        (b'{"model_type": "efficientnet"}', "or the file of the weights"),
        (b'{"weight_map": {"x": "a", "x": "b"}}', "is a duplicate name"),
        (b'{"weight_map": {"a\\u0000": "b"}}', "no framework writes"),
        (b'{"weight_map": {"\\ud800": "b"}}', "no framework writes"),
        (b'{"weight_map": ' + b"[" * 100_000, "not the JSON"),
        (b'{"x": "\xff"}', "not the JSON"),
        (b'{"x": "' + b"y" * (8 << 20) + b'"}', "more than any index"),
        (b'{"weight_map": {' + b", ".join(b'"t%d": "s%d"' % (n, n) for n in range(300)) + b"}}", "at most 256"),
    ],
)
def test_json_that_is_no_index_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / INDEX).write_bytes(content)
    assert words in refusal(tmp_path / INDEX)

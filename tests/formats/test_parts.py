"""One file of several is never taken for the whole: it is refused by its name and by the index beside it."""

import json
from pathlib import Path
from typing import Any

import pytest

from effconvert.formats import Array
from helpers.formats.building import expected, make_safetensors, make_torch, read_all, refusal
from helpers.formats.mindspore_files import value

INDEX = "model.safetensors.index.json"


def write_index(folder: Path, places: dict[str, Any], name: str = INDEX, **metadata: Any) -> Path:
    (folder / name).write_text(json.dumps({"metadata": metadata, "weight_map": places}))
    return folder / name


@pytest.mark.parametrize(
    ("name", "others", "index"),
    [
        ("model-00001-of-00004.safetensors", ["model-00002-of-00004.safetensors", "model-00004-of-00004.safetensors"], INDEX),
        ("pytorch_model-00002-of-00002.bin", ["pytorch_model-00001-of-00002.bin"], "pytorch_model.bin.index.json"),
        ("model-00000-of-00002.safetensors", ["model-00001-of-00002.safetensors"], INDEX),
        ("efficientnet-b0_00003-of-00005.pth", ["efficientnet-b0_00001-of-00005.pth"], "efficientnet-b0.pth.index.json"),
        ("shard_3_of_4", ["shard_1_of_4", "shard_2_of_4", "shard_4_of_4"], "the index"),
        ("b0.part1of2.pth", ["b0.part2of2.pth"], "the index"),
        ("Shard 2 of 3.safetensors", ["Shard 1 of 3.safetensors"], "the index"),
        ("checkpoint-1-of-2", ["checkpoint-2-of-2"], "the index"),
        ("2-of-3.safetensors", ["1-of-3.safetensors"], "the index"),
    ],
)  # fmt: skip
def test_a_shard_alone_is_refused_by_its_name(
    tmp_path: Path, arrays: dict[str, Array], name: str, others: list[str], index: str
) -> None:
    message = refusal(make_safetensors(tmp_path / name, arrays))
    assert "shards of one checkpoint" in message
    assert all(other in message for other in others)
    assert f"get {index}" in message
    assert "or rename the file, if it holds the whole network" in message


@pytest.mark.parametrize(
    "name",
    [
        "model-00001-of-00001.safetensors", "fold_1_of_5.pth", "fold1of5", "epoch-3-of-10.ckpt", "run 2 of 3.pth",
        "cv-1-of-4.pth", "b0-5-of-3.pth", "of-2-of.pth", "efficientnet_b0.pth", "checkpoint-500.pth",
    ],
)  # fmt: skip
def test_a_whole_file_is_read_whatever_it_numbers(tmp_path: Path, arrays: dict[str, Array], name: str) -> None:
    assert read_all(make_torch(tmp_path / name, arrays)) == expected(arrays)


def test_a_shard_beside_an_index_names_the_index_and_what_is_missing(tmp_path: Path, arrays: dict[str, Array]) -> None:
    make_safetensors(tmp_path / "first.safetensors", arrays)
    places: dict[str, Any] = {"a": "first.safetensors", "b": "second.safetensors", "c": "third.safetensors"}
    write_index(tmp_path, places, "anything.index.json")
    message = refusal(tmp_path / "first.safetensors")
    assert "one of 3 shards of one checkpoint; give anything.index.json" in message
    assert "get second.safetensors and third.safetensors, which are not there" in message


@pytest.mark.parametrize("index", ["pytorch_model.bin.index.json", "net.bin.index.json", "net-1.bin.index.json"])
def test_a_shard_of_pytorch_is_known_by_an_index_of_the_usual_names(
    tmp_path: Path, arrays: dict[str, Array], index: str
) -> None:
    make_torch(tmp_path / "net-1.bin", arrays)
    write_index(tmp_path, {"a": "net-1.bin", "b": "net-2.bin"}, index)
    assert f"one of 2 shards of one checkpoint; give {index}" in refusal(tmp_path / "net-1.bin")


def test_a_shard_of_keras_is_known_by_its_index(tmp_path: Path, arrays: dict[str, Array]) -> None:
    make_safetensors(tmp_path / "b0_00000.weights.h5", arrays)
    write_index(tmp_path, {"a": ["b0_00000.weights.h5", "b0_00001.weights.h5"]}, "b0.weights.json")
    assert "give b0.weights.json" in refusal(tmp_path / "b0_00000.weights.h5")


@pytest.mark.parametrize(
    "index",
    [
        "", "[", "{}", '{"weight_map": 7}', '{"weight_map": ["one.pth"]}', '{"weight_map": {"a": {"one.pth": 1}}}',
        '{"weight_map": {"a": "one.pth", "b": "../two.pth", "c": "", "d": null}}', '{"weight_map": {"a": "one.pth"}}',
        '{"weight_map": {"a": "two.pth", "b": "three.pth"}}', '"one.pth"' + "[" * 100_000,
    ],
)  # fmt: skip
def test_an_index_of_other_files_or_a_damaged_one_does_not_matter(
    tmp_path: Path, arrays: dict[str, Array], index: str
) -> None:
    (tmp_path / INDEX).write_text(index)
    assert read_all(make_torch(tmp_path / "one.pth", arrays)) == expected(arrays)


def test_an_index_that_names_too_few_shards_is_refused(tmp_path: Path, arrays: dict[str, Array]) -> None:
    name = "model-00001-of-00003.safetensors"
    make_safetensors(tmp_path / name, arrays)
    message = refusal(write_index(tmp_path, dict.fromkeys(arrays, name)))
    assert "the index is incomplete" in message
    assert "model-00002-of-00003.safetensors" in message
    assert "model-00003-of-00003.safetensors" in message


def test_an_index_of_fewer_bytes_than_it_says_is_refused(tmp_path: Path, arrays: dict[str, Array]) -> None:
    make_safetensors(tmp_path / "one.safetensors", arrays)
    held = sum(array.nbytes for array in arrays.values())
    places = dict.fromkeys(arrays, "one.safetensors")
    assert read_all(write_index(tmp_path, places, total_size=held)) == expected(arrays)
    message = refusal(write_index(tmp_path, places, total_size=held + 4))
    assert f"it says that its tensors have {held + 4:,} bytes, but the shards that it names have {held:,}" in message


def test_a_shard_that_is_a_pointer_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "one.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 7\n")
    message = refusal(write_index(tmp_path, {"a": "one.safetensors"}))
    assert (
        "one.safetensors: a shard that is neither safetensors nor PyTorch's, but a Git LFS pointer (7 bytes)" in message
    )


@pytest.mark.parametrize(
    ("name", "sibling"),
    [
        ("mp_rank_01_model_states.pt", ""),
        ("mp_rank_00_model_states.pt", "mp_rank_01_model_states.pt"),
        ("zero_pp_rank_0_mp_rank_00_model_states.pt", "zero_pp_rank_1_mp_rank_00_model_states.pt"),
        ("model_rank3.pth", ""),
        ("checkpoint-rank-0.ckpt", "checkpoint-rank-1.ckpt"),
        ("consolidated.01.pth", ""),
        ("consolidated.00.pth", "consolidated.01.pth"),
    ],
)
def test_what_one_process_of_several_wrote_is_refused(
    tmp_path: Path, arrays: dict[str, Array], name: str, sibling: str
) -> None:
    if sibling:
        make_torch(tmp_path / sibling, arrays)
    message = refusal(make_torch(tmp_path / name, arrays))
    assert "of several, which may be a slice" in message
    assert sibling in message


@pytest.mark.parametrize(
    "name", ["mp_rank_00_model_states.pt", "rank0.pth", "consolidated.00.pth", "lora_rank_16.pth", "ranked-1.pth", "frank1.pth"]
)  # fmt: skip
def test_what_the_only_process_wrote_is_whole(tmp_path: Path, arrays: dict[str, Array], name: str) -> None:
    assert read_all(make_torch(tmp_path / name, arrays)) == expected(arrays)


def test_a_slice_in_a_folder_of_each_process_is_refused(tmp_path: Path) -> None:
    for rank in ("rank_0", "rank_1"):
        (tmp_path / rank).mkdir()
        (tmp_path / rank / "net.ckpt").write_bytes(value("a", (2,), "Float32", bytes(8)))
    message = refusal(tmp_path / "rank_0" / "net.ckpt")
    assert "one of 2 processes" in message
    assert "a file of that name is in rank_1 too" in message
    (tmp_path / "rank_1" / "net.ckpt").unlink()
    assert list(read_all(tmp_path / "rank_0" / "net.ckpt")) == ["a"]


@pytest.mark.parametrize("ends", [("001", "002", "003"), ("part1", "part2", "part3"), ("aa", "ab", "ac")])
def test_pieces_of_a_file_that_was_cut_say_how_to_join_them(
    tmp_path: Path, arrays: dict[str, Array], ends: tuple[str, ...]
) -> None:
    whole = make_torch(tmp_path / "whole", arrays).read_bytes()
    pieces = [tmp_path / f"b0.pth.{end}" for end in ends]
    for number, piece in enumerate(pieces):
        piece.write_bytes(whole[number * 500 : (number + 1) * 500])
    names = " ".join(piece.name for piece in pieces)
    for number, piece in enumerate(pieces):
        message = refusal(piece)
        assert (
            f"piece {number + 1} of a file that was split into 3 or more; join them first: cat {names} > b0.pth"
            in message
        )


def test_whole_files_with_numbers_behind_are_read(tmp_path: Path, arrays: dict[str, Array]) -> None:
    for number in ("001", "002"):
        make_torch(tmp_path / f"b0.pth.{number}", arrays)
    assert read_all(tmp_path / "b0.pth.001") == expected(arrays)

"""A checkpoint is found by what it holds, never by its name, and everything else is refused with what it is."""

import gzip
import io
import os
import random
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from effconvert.errors import MissingPath, UnreadableCheckpoint
from effconvert.formats import Array, open_checkpoint
from helpers.formats.building import (
    contents,
    examples,
    expected,
    make_bundle,
    make_safetensors,
    make_torch,
    read_all,
    refusal,
)

DATA = "model.ckpt.data-00000-of-00001"


@pytest.mark.parametrize(
    "name", ["x.ckpt", "x.pth", "x.index", "x", "x.tar.gz", "saved_model.pb", "checkpoint", "x.h5"]
)
@pytest.mark.parametrize(("make", "kind"), [(make_safetensors, "safetensors"), (make_torch, "PyTorch zip")])
def test_a_file_is_known_by_its_content(
    tmp_path: Path, arrays: dict[str, Array], make: Callable[..., Path], kind: str, name: str
) -> None:
    with open_checkpoint(make(tmp_path / name, arrays)) as checkpoint:
        assert checkpoint.format == kind
        assert contents(checkpoint) == expected(arrays)


def test_a_bundle_is_found_by_every_part_of_it(bundle: Path, arrays: dict[str, Array]) -> None:
    bundle.with_name("model.ckpt.meta").write_bytes(b"\x0a\x00 a graph")
    bundle.with_name("checkpoint").write_text('model_checkpoint_path: "model.ckpt"\n')
    parts = ["model.ckpt", "model.ckpt.index", DATA, "model.ckpt.meta", "checkpoint", "."]
    for part in parts:
        assert read_all(bundle.parent / part) == expected(arrays)
        assert read_all(Path(str(bundle.parent / part))) == expected(arrays)
    with open_checkpoint(str(bundle)) as checkpoint:
        assert checkpoint.path == bundle


def test_a_saved_model_is_found(tmp_path: Path, arrays: dict[str, Array]) -> None:
    make_bundle(tmp_path / "model" / "variables" / "variables", arrays)
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    for part in ("model", "model/saved_model.pb", "model/variables", "model/variables/variables"):
        assert read_all(tmp_path / part) == expected(arrays)


def test_a_folder_in_a_folder_is_found(tmp_path: Path, arrays: dict[str, Array]) -> None:
    make_bundle(tmp_path / "efficientnet-b0" / "model.ckpt", arrays)
    assert read_all(tmp_path) == expected(arrays)


@pytest.mark.parametrize("compress", [gzip.compress, bytes])
def test_an_archive_is_unpacked_for_as_long_as_it_is_open(
    tmp_path: Path, bundle: Path, arrays: dict[str, Array], compress: Callable[[bytes], bytes]
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(bundle.parent, "efficientnet-b0")
    (tmp_path / "anything").write_bytes(compress(buffer.getvalue()))
    with open_checkpoint(tmp_path / "anything") as checkpoint:
        unpacked = checkpoint.path
        assert contents(checkpoint) == expected(arrays)
    assert not unpacked.exists()


def test_an_archive_that_is_refused_leaves_nothing(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle.with_name(DATA).unlink()
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(bundle.parent, "efficientnet-b0")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    assert "missing" in refusal(tmp_path / "x.tar.gz")
    assert list(scratch.iterdir()) == []


def test_two_checkpoints_in_a_folder_are_listed_with_the_latest(tmp_path: Path, arrays: dict[str, Array]) -> None:
    for step in (100, 200):
        make_bundle(tmp_path / f"model.ckpt-{step}", arrays)
    message = refusal(tmp_path)
    assert "holds 2 checkpoints" in message
    assert f"{tmp_path}/model.ckpt-100\n" in message
    assert "latest" not in message
    (tmp_path / "checkpoint").write_text(
        'model_checkpoint_path: "model.ckpt-200"\nall_model_checkpoint_paths: "model.ckpt-100"\n'
    )
    assert "names 'model.ckpt-200' as the latest" in refusal(tmp_path)
    assert "names 'model.ckpt-200' as the latest" in refusal(tmp_path / "checkpoint")
    assert read_all(tmp_path / "model.ckpt-200") == expected(arrays)


def test_a_checkpoint_file_that_is_no_text_gives_no_hint(tmp_path: Path, arrays: dict[str, Array]) -> None:
    for step in (100, 200):
        make_bundle(tmp_path / f"model.ckpt-{step}", arrays)
    (tmp_path / "checkpoint").write_bytes(bytes(range(256)) * 1000)
    assert "latest" not in refusal(tmp_path)


@pytest.mark.parametrize("name", ["nothing", "nothing/at/all", "model.ckpt-7", "a\x00b", ".../x"])
def test_a_path_that_does_not_exist_is_a_usage_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingPath, match="no such file or directory") as caught:
        open_checkpoint(tmp_path / name)
    assert caught.value.exit_code == 2


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / ("x" * 5000))


def test_a_file_in_place_of_a_folder_does_not_exist(safetensors_file: Path) -> None:
    with pytest.raises(MissingPath):
        open_checkpoint(safetensors_file / "x")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "holds no checkpoint: it is empty" in refusal(tmp_path)


def test_a_folder_of_other_files_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"notes-{number}.rst").write_bytes(b"words")
    message = refusal(tmp_path)
    assert "found only notes-0.rst" in message
    assert "notes-8" not in message


FILES = {
    "nothing": (b"", "not a checkpoint but an empty file (0 bytes); download"),
    "a text": (b"Dear all,\n", "not a checkpoint but a text file, which begins 'Dear all,'"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "not a file that Keras wrote whole"),
    "PyTorch before 1.6": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "its pickle is cut off"),
    "a plain pickle": (b"\x80\x04}.", "not a checkpoint but a pickle that torch.save did not write"),
    "zeros": (bytes(10_000), "not a checkpoint but a file of 10,000 zeros"),
    "a signature of zip": (b"PK\x03\x04", "not a file that torch.save wrote whole"),
    "a signature of gzip": (b"\x1f\x8b", "damaged or cut off"),
    "a signature of a table": (bytes.fromhex("57fb808b247547db"), "the index is damaged"),
    "a signature of tar": (bytes(257) + b"ustar" + bytes(250), "neither gzip nor tar"),
    "JSON": (b'{"a": 1}', "not a checkpoint"),
    "NumPy": (b"\x93NUMPY\x01\x00", "not a checkpoint"),
    "a link to LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "not a checkpoint"),
}


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES.keys())
def test_another_file_is_refused_with_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "x").write_bytes(content)
    message = refusal(tmp_path / "x")
    assert words in message
    assert str(tmp_path / "x") in message


@pytest.mark.parametrize("name", [DATA, "model.ckpt.meta"])
def test_a_part_without_its_index_says_which_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"data")
    assert "its index model.ckpt.index is not beside it" in refusal(tmp_path / name)


def test_an_index_that_is_cut_off_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt.index").write_bytes(b"\x00" * 20)
    assert "a TensorFlow index that is damaged or cut off (20 bytes)" in refusal(tmp_path / "model.ckpt.index")


def test_an_index_without_its_data_names_the_file(bundle: Path) -> None:
    bundle.with_name(DATA).unlink()
    for part in (bundle, bundle.parent, bundle.with_suffix("")):
        assert f"{DATA}: missing" in refusal(part)


@pytest.mark.parametrize("name", ["model.ckpt.index", DATA, "x.safetensors", "checkpoint"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, arrays: dict[str, Array], name: str) -> None:
    make_bundle(tmp_path / "model.ckpt", arrays)
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    refusal(tmp_path / name)
    if name in ("model.ckpt.index", DATA):
        words = "not a regular file" if name == "model.ckpt.index" else "missing"
        for path in (tmp_path, tmp_path / "model.ckpt"):
            assert words in refusal(path)


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket may have 100 characters only
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind("x.index")
        assert "neither a file nor a folder" in refusal(Path("x.index"))
        refusal(tmp_path)


def test_a_folder_called_like_an_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt.index").mkdir()
    refusal(tmp_path)
    refusal(tmp_path / "model.ckpt")


def test_a_link_is_followed(tmp_path: Path, safetensors_file: Path, arrays: dict[str, Array]) -> None:
    (tmp_path / "link").symlink_to(safetensors_file)
    assert read_all(tmp_path / "link") == expected(arrays)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises((MissingPath, UnreadableCheckpoint)):
        open_checkpoint(tmp_path / "circle")


@examples(300)
@given(st.binary(max_size=600))
@example(b"\x02\0\0\0\0\0\0\0{}")
@example(b"\x08\0\0\0\0\0\0\0{\0}\0    ")
def test_arbitrary_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    try:
        assert read_all(tmp_path / "x") == {}
        assert content[8:9] == b"{"  # a safetensors file of no tensors
    except UnreadableCheckpoint:
        pass


def test_a_thousand_random_files_are_refused(tmp_path: Path) -> None:
    for seed in range(1000):
        generator = random.Random(seed)
        (tmp_path / "x").write_bytes(generator.randbytes(generator.randrange(2000)))
        refusal(tmp_path / "x")

"""The recorded hash is that of the file that the tensors came from, whatever happens to the source meanwhile."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.numpy

import effconvert
from effconvert.errors import UnreadableCheckpoint
from effconvert.verification.network_files import examine
from helpers.checkpoints import read_all


def shards(source: Path, folder: Path) -> Path:
    """Write two shards of a safetensors file, and their index."""
    import json

    effconvert.convert(source, folder / "whole.safetensors", to="timm")
    tensors = safetensors.numpy.load_file(folder / "whole.safetensors")
    (folder / "whole.safetensors").unlink()
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        safetensors.numpy.save_file({name: tensors[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


def bundle(source: Path, folder: Path) -> Path:
    return Path(shutil.copytree(source, folder / "x"))


def converted(name: str, to: str) -> Callable[[Path, Path], Path]:
    def write(source: Path, folder: Path) -> Path:
        effconvert.convert(source, folder / name, to=to)
        return folder / name

    return write


SOURCES: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "safetensors": (converted("x.safetensors", "canonical"), "x.safetensors"),
    "pth": (converted("x.pth", "timm"), "x.pth"),
    "weights.h5": (converted("x.weights.h5", "keras"), "x.weights.h5"),
    "keras": (converted("x.keras", "keras"), "x.keras"),
    "mindspore": (converted("x.ckpt", "timm"), "x.ckpt"),
    "index of TensorFlow": (bundle, "x/model.ckpt.index"),
    "data of TensorFlow": (bundle, "x/model.ckpt.data-00000-of-00001"),
    "index of shards": (shards, "model.safetensors.index.json"),
    "a shard": (shards, "model-00002-of-00002.safetensors"),
}


def rename_over(file: Path) -> None:
    """Let another file of the same content take the place, as a training does with its next checkpoint."""
    shutil.copy2(file, file.with_name("next"))
    file.with_name("next").replace(file)


def write_into(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(-1, os.SEEK_END)
        last = opened.read(1)
        opened.seek(-1, os.SEEK_END)
        opened.write(bytes([last[0] ^ 1]))


@pytest.fixture(scope="module")
def sources(b0: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    def make(kind: str) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp("source")
        write, file = SOURCES[kind]
        return write(b0, folder), folder / file

    return make


@pytest.mark.parametrize("change", [rename_over, write_into, Path.unlink])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_that_changes_during_the_conversion_ends_it(
    sources: Callable[[str], tuple[Path, Path]], tmp_path: Path, kind: str, change: Callable[[Path], None]
) -> None:
    source, file = sources(kind)
    calls = []

    def progress(done: int, total: int) -> None:
        if done == total:
            change(file)
            calls.append(done)

    others = "|was changed after it was written|damaged" if change is write_into else ""  # found by their checksums
    with pytest.raises(UnreadableCheckpoint, match="changed or replaced while it was read" + others):
        effconvert.convert(source, tmp_path / "out.safetensors", progress=progress)
    assert calls
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", SOURCES)
def test_the_recorded_hashes_are_those_of_the_source(
    sources: Callable[[str], tuple[Path, Path]], tmp_path: Path, kind: str
) -> None:
    source, file = sources(kind)
    report = effconvert.convert(source, tmp_path / "out.safetensors")
    assert report.source_sha256[file.name] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_examined_file_that_is_replaced_is_not_read(b0: Path, tmp_path: Path) -> None:
    """Verification and validation read the tensors after the file was hashed."""
    path = tmp_path / "x.safetensors"
    effconvert.convert(b0, path)
    file = examine(path)
    assert file.canonical_tensors().keys() == read_all(path).keys()
    rename_over(path)
    assert file.canonical_tensors()  # the same bytes
    write_into(path)
    with pytest.raises(UnreadableCheckpoint, match="changed or replaced since it was examined"):
        file.canonical_tensors()


def test_an_archive_that_is_examined_is_read_again(b0: Path, tmp_path: Path) -> None:
    shutil.make_archive(str(tmp_path / "b0"), "gztar", b0)
    file = examine(tmp_path / "b0.tar.gz")
    assert len(file.canonical_tensors()) > 300

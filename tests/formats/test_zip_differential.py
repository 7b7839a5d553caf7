"""A zip file has one content: what effconvert reads of it is what the library of its format reads, or nothing."""

import io
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from effconvert.errors import EffconvertError
from effconvert.formats import open_checkpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.npz import NpzArchive
from effconvert.formats.zip_directory import read_directory, read_record
from helpers.formats.malformed_zips import Part, build, malformed
from helpers.formats.pickles import state_dict, tensor

Content = dict[str, bytes]


def torch_parts(value: float) -> list[Part]:
    name = b"archive/"
    values = struct.pack("<4f", value, 2, 3, 4)
    return [
        Part(name + b"data.pkl", state_dict(tensor())),
        Part(name + b"version", b"3\n"),
        Part(name + b"data/0", values),
    ]


def npy(value: float) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([value, 2, 3, 4], np.float32))
    return file.getvalue()


def array_parts(value: float) -> list[Part]:
    return [Part(b"b.npy", npy(7)), Part(b"a.npy", npy(value))]


MALFORMED = list(malformed(torch_parts(1), torch_parts(666)))
ARRAYS = list(malformed(array_parts(1), array_parts(666)))


def read(path: Path) -> Content:
    with open_checkpoint(path) as checkpoint:
        return {name: checkpoint.read(name).tobytes() for name in checkpoint.tensors}


def load(path: Path) -> Content:
    return {name: value.numpy().tobytes() for name, value in torch.load(path, weights_only=True).items()}


def read_arrays(path: Path) -> Content:
    with DataFile(path) as file:
        archive = NpzArchive(file)
        return {name: archive.read(name).tobytes() for name in archive.names}


def load_arrays(path: Path) -> Content:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name].tobytes() for name in archive.files}


def read_records(path: Path) -> Content:
    with DataFile(path) as file:
        return {name: bytes(read_record(file, record)) for name, record in read_directory(file).items()}


def load_records(path: Path) -> Content:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}


def outcome(reader: Callable[[Path], Content], path: Path) -> Content | None:
    """Return the content, None if the file is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return reader(path)
        except (EffconvertError, ValueError):
            return None
        except Exception:
            if reader in (read, read_arrays, read_records):
                raise
            return None


def compared(tmp_path: Path, files: list[tuple[str, bytes]], own: Any, library: Any) -> dict[str, str]:
    """Return {what is wrong: both readings} of the files that both read, and differently; require that some are read."""
    differing, equal = {}, 0
    for number, (words, content) in enumerate(files):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(content)
        found, expected = outcome(own, path), outcome(library, path)
        equal += found is not None and found == expected
        if found and expected and found != expected:
            differing[words] = f"{found} and {expected}"
    assert equal > 50  # what is odd and harmless
    return differing


def test_s1_a_malformed_pth_has_one_content_for_effconvert_and_torch(tmp_path: Path) -> None:
    assert len(MALFORMED) > 600
    assert compared(tmp_path, MALFORMED, read, load) == {}


@pytest.mark.parametrize(("own", "library"), [(read_arrays, load_arrays), (read_records, load_records)])
def test_s1_a_malformed_npz_or_keras_file_has_one_content_for_effconvert_and_python(
    tmp_path: Path, own: Any, library: Any
) -> None:
    assert compared(tmp_path, ARRAYS, own, library) == {}


def test_the_two_contents_are_read_alone(tmp_path: Path) -> None:
    """Else the tests above would find no difference because nothing is read."""
    for parts, reader, other in ((torch_parts, read, load), (array_parts, read_arrays, load_arrays)):
        contents = []
        for value in (1, 666):
            (tmp_path / "x").write_bytes(build(parts(value)))
            contents.append(reader(tmp_path / "x"))
            assert contents[-1] == other(tmp_path / "x")
        assert contents[0] != contents[1]


@pytest.mark.parametrize(
    "words", [words for words, _ in MALFORMED if words.startswith(("two ", "end: ", "end points", "zip64 end"))]
)
def test_a_file_with_two_directories_or_a_wrong_end_is_refused(tmp_path: Path, words: str) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(dict(MALFORMED)[words])
    with pytest.raises(EffconvertError, match=r"x\.pth: "):
        read(path)

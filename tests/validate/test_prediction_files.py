"""A file of predictions is read as it was written; one that would fill the memory is refused before unpacking."""

import io
import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effconvert.errors import UnreadableCheckpoint
from effconvert.validate.predictions import is_predictions, read_predictions, write_predictions
from helpers.validate.made_predictions import predictions

RUN = predictions([1, 2, 3], [[1], [2, 5], [9]])


def written(path: Path, **members: bytes | int) -> Path:
    """Write a run with members replaced by those bytes, a number for as many megabytes of zeros."""
    write_predictions(path, RUN)
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in kept.items():
            found = members.get(name.removesuffix(".npy"), data)
            with archive.open(name, "w", force_zip64=True) as member:
                for piece in [found] if isinstance(found, bytes) else [bytes(1 << 20)] * found:
                    member.write(piece)
    return path


def header(dtype: str, *shape: int) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def filled(dtype: str, *shape: int) -> bytes:
    return header(dtype, *shape) + bytes(np.dtype(dtype).itemsize * int(np.prod(shape)))


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_predictions(tmp_path / "run.npz", RUN)
    found = read_predictions(tmp_path / "run.npz")
    assert found.record == json.loads(json.dumps(RUN.record))
    for name in ("ids", "names", "labels", "top5", "label_logit", "margin", "confidence"):
        assert np.array_equal(getattr(found, name), getattr(RUN, name))
    assert is_predictions(tmp_path / "run.npz")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"ids": filled("<i8", 2_000_001)}, "it is for 2,000,001 images, but"),
        ({"validation": filled("<U9000000")}, "at most 33,554,432 are read"),
        ({"names": header("<U400", 3)}, "names has 0 bytes and should have 4,800"),
        ({"names": header("<U400000000", 1)}, "names has 0 bytes and should have 1,600,000,000"),
        ({"margin": filled("<f4", 3) + bytes(10**8)}, "margin has 100,000,012 bytes and should have 12"),
    ],
)
def test_arrays_of_absurd_sizes_are_refused_before_they_are_read(
    members: dict[str, Any], words: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "run.npz", **members)
    del members
    tracemalloc.start()
    with pytest.raises(UnreadableCheckpoint) as failure:
        read_predictions(path)
    assert is_predictions(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert words in str(failure.value)
    assert str(path) in str(failure.value)
    assert most < 2_000_000


def test_names_of_a_gigabyte_are_refused_before_they_are_read(tmp_path: Path) -> None:
    start = header("<U400", 700_000)
    path = written(tmp_path / "run.npz", names=b"")
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if name != "names.npy"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in kept.items():
            archive.writestr(name, data)
        with archive.open("names.npy", "w", force_zip64=True) as member:
            member.write(start)
            for _ in range(700):
                member.write(bytes(1_600_000))
    assert path.stat().st_size < 10_000_000
    tracemalloc.start()
    with pytest.raises(UnreadableCheckpoint, match=r"'names.npy' would take more than 128 MB of memory"):
        read_predictions(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()

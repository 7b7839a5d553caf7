"""What the fuzzer found: built by code, and now refused or read without a word of a library between effconvert's lines."""

import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from effconvert.errors import DatasetProblem, UnreadableCheckpoint
from effconvert.preprocessing.decoding import Window, decode
from effconvert.validate.data.image_bytes import read_image
from effconvert.validate.data.opening import open_contents
from effconvert.validate.predictions import read_predictions
from effconvert.verification.runs import open_run
from helpers import pictures


def test_an_array_that_numpy_reads_only_after_a_repair_is_refused_without_its_warning(tmp_path: Path) -> None:
    """A shape of long integers, as Python 2 wrote them."""
    content = io.BytesIO()
    np.save(content, np.zeros((2, 2), np.float32))
    with zipfile.ZipFile(tmp_path / "run.npz", "w") as archive:
        archive.writestr("run.npy", content.getvalue().replace(b"(2, 2),", b"(2L,2),"))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(UnreadableCheckpoint, match="no header of an array"), open_run(tmp_path / "run.npz"):
            pass
    assert said == []


def test_an_image_with_damaged_metadata_is_read_or_refused_without_pillows_warning() -> None:
    """A tag of TIFF, of where the rows lie, that counts more than the file has."""
    image = bytearray(pictures.saved(pictures.picture(9, 12, 0), "TIFF"))
    at = image.index(b"\x11\x01\x04\x00")
    image[at + 4 : at + 8] = b"\xff\xff\0\0"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(DatasetProblem, match="cannot be read as an image"):
            decode(bytes(image), "pil", lambda height, width: Window(0, 0, height, width))
    assert said == []


@pytest.mark.parametrize("names", [["path"], ["path", "other"]])
def test_a_row_of_a_table_that_has_paths_and_no_images_is_refused_in_words(tmp_path: Path, names: list[str]) -> None:
    rows = [{"image": dict.fromkeys(names, "a.png"), "label": 1}]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    ((_, _, location),) = open_contents(tmp_path / "x.parquet").images
    with pytest.raises(DatasetProblem, match="x.parquet: row 0 of row group 0 has no image, only a path"):
        read_image(location)


@pytest.mark.parametrize(
    ("record", "read"), [("run", lambda path: open_run(path).__enter__()), ("validation", read_predictions)]
)
def test_a_record_of_characters_that_do_not_exist_is_refused(
    tmp_path: Path, record: str, read: Callable[[Path], object]
) -> None:
    beyond = np.array([0x7B, 0x110000], np.uint32).view("<U2").reshape(())
    arrays: dict[str, Any] = {record: beyond, "ids": np.arange(1)}
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(UnreadableCheckpoint, match=f"'{record}' has characters that do not exist"):
        read(tmp_path / "x.npz")

"""A data set that asks for too much, or has names that cannot be text, is refused in words and with exit 7."""

import errno
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from effconvert.errors import DatasetProblem
from effconvert.preprocessing.image_files import images_in
from effconvert.validate.data.label_files import read_label_file
from effconvert.validate.data.opening import open_contents


def refused(path: str | Path) -> str:
    with pytest.raises(DatasetProblem) as caught:
        open_contents(path)
    assert len(str(caught.value)) < 2_000
    return str(caught.value)


def test_a_million_million_shards_are_not_listed() -> None:
    assert refused("x-{000000..999999999999}.tar").endswith("names 1,000,000,000,000 shards; at most 100,000 are read")


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
@pytest.mark.parametrize("size", [8 << 30, 1 << 62])
def test_a_header_of_a_tar_file_is_not_read_if_it_is_huge(tmp_path: Path, kind: bytes, size: int) -> None:
    member = tarfile.TarInfo("header")
    member.type, member.size = kind, size
    (tmp_path / "x.tar").write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    assert "a damaged tar file: a header of" in refused(tmp_path / "x.tar")


def test_a_name_in_a_tar_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("n01440764/\udce9.jpg"))
    assert r"n01440764/\udce9.jpg" in refused(tmp_path / "x.tar")


def test_a_name_in_a_tar_file_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(f"{'x' * 20_000}.jpg"))
    assert "names that are longer than 1,000 letters" in refused(tmp_path / "x.tar")


def test_a_name_on_the_disk_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    try:
        Path(os.fsdecode(os.fsencode(tmp_path / "cat") + b"/\xe9.jpg")).write_bytes(b"")
    except OSError:
        pytest.skip("the file system has no such names")
    assert r"cat/\udce9.jpg" in refused(tmp_path)


def test_folders_in_folders_without_an_end_are_refused(tmp_path: Path) -> None:
    start = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1_200):
        os.mkdir("d", dir_fd=start)
        inner = os.open("d", os.O_RDONLY, dir_fd=start)
        os.close(start)
        start = inner
    os.close(start)
    try:
        assert "nested more than 100 deep" in refused(tmp_path)
        with pytest.raises(DatasetProblem):
            images_in(tmp_path)
    finally:  # Python's own rmtree cannot
        subprocess.run(["rm", "-rf", str(tmp_path / "d")], check=True)


def test_a_folder_that_may_not_be_read_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test refuses in the system's place, because an administrator may read all folders."""
    (tmp_path / "one.jpg").write_bytes(b"")
    (tmp_path / "locked").mkdir()
    real = os.scandir

    def scan(path: str) -> Any:
        if path == os.fspath(tmp_path / "locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(DatasetProblem, match="locked: cannot be read: Permission denied"):
        images_in(tmp_path)


def test_a_line_of_separators_in_a_file_of_labels_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("a.jpg,cat\n,\n,,,\nb.jpg,dog\n")
    assert [name for _, name, _ in read_label_file(tmp_path / "labels.csv").pairs] == ["a.jpg", "b.jpg"]


def test_a_huge_field_in_a_file_of_labels_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(f"a.jpg,{'x' * 200_000}\n")
    with pytest.raises(DatasetProblem, match="cannot be read as labels: field larger than field limit"):
        read_label_file(tmp_path / "labels.csv")


def parquet(path: Path, images: Any, **options: Any) -> Path:
    pyarrow.parquet.write_table(pa.table({"image": images}), path, **options)
    return path


def images(paths: Any, kind: Any) -> Any:
    count = len(paths)
    return pa.StructArray.from_arrays([pa.nulls(count, pa.binary()), pa.array(paths, kind)], ["bytes", "path"])


def test_parquet_of_millions_of_empty_rows_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", images([None] * 2_000_000, pa.string()))
    assert path.stat().st_size < 1 << 20
    assert "its rows would take more than 128 MB of memory" in refused(path)


def test_parquet_of_one_long_path_in_every_row_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "x.parquet", images(["x" * (1 << 20)] * 300, pa.string()), compression="zstd")
    assert path.stat().st_size < 1 << 20
    assert "the names of its images would take more than 128 MB of memory" in refused(path)


def test_parquet_with_paths_that_are_not_text_is_refused(tmp_path: Path) -> None:
    assert "are bytes, not text" in refused(parquet(tmp_path / "x.parquet", images([b"\xe9"], pa.binary())))
    wrong = images([b"\xe9"], pa.binary()).cast(pa.struct([("bytes", pa.binary()), ("path", pa.binary())]))
    broken = pa.StructArray.from_arrays(
        [wrong.field("bytes"), pa.Array.from_buffers(pa.string(), 1, wrong.field("path").buffers())], ["bytes", "path"]
    )
    assert "cannot be read: 'utf-8' codec can't decode" in refused(parquet(tmp_path / "y.parquet", broken))

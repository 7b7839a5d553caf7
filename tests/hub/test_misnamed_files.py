"""Files that were published under a name with another file's hash are known by that name too."""

from pathlib import Path

import pytest

from effconvert.conversion.steps import convert
from effconvert.formats import open_checkpoint
from effconvert.identify.network_names import recorded_training
from effconvert.reference_tables.file_names import MisnamedFile, check_name_sha8, misnamed_files, name_sha8
from effconvert.reference_tables.weights import weights_table
from helpers.library_files import library_tensors, save

FILES = misnamed_files().values()
OLD = "efficientnet_b0_rwightman-3dd342df.pth"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_stands_in_the_table_of_weights_under_the_name_of_its_own_hash(file: MisnamedFile) -> None:
    (row,) = (row for row in weights_table() if file.is_of(row))
    assert file.sha256.startswith(str(name_sha8(row.file_name)))
    assert not file.sha256.startswith(str(name_sha8(file.name)))
    assert row.file_name.rpartition("-")[0] == file.name.rpartition("-")[0]


def test_torchvisions_first_files_of_b0_to_b7_are_those() -> None:
    assert [(file.framework, file.variant) for file in FILES] == [("torchvision", f"b{number}") for number in range(8)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_published_bytes_are_no_damaged_file(file: MisnamedFile) -> None:
    said = str(check_name_sha8(Path(file.name), file.sha256.ljust(64, "0")))
    assert f"begins with {file.sha256[:8]}: torchvision 0.12.0 to" in said
    assert f"published it under this name, although {name_sha8(file.name)} is not its hash" in said
    assert "damaged" not in said


def test_other_bytes_under_such_a_name_are_told_the_hash_of_the_published_ones(tmp_path: Path) -> None:
    source = save(tmp_path / OLD, library_tensors("torchvision", classes=1000))
    said = convert(source, tmp_path / "b0.safetensors").named_hash
    assert (
        "its name says 3dd342df (torchvision 0.12.0 to 0.16.0 published a file with 7f5810bc under this name)" in said
    )
    assert "changed, damaged or renamed" in said


def test_such_a_name_says_the_training(tmp_path: Path) -> None:
    source = save(tmp_path / OLD, library_tensors("torchvision", classes=1000))
    with open_checkpoint(source) as checkpoint:
        assert recorded_training(checkpoint, "torchvision", "b0") == ("imagenet1k_v1", "name")

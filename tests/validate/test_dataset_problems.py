"""All problems of a data set are reported before the first image, with names and the remedy, exit code 7."""

import re
from pathlib import Path
from typing import Any

import pytest

from effconvert.errors import DatasetProblem, MissingPath, Unavailable
from effconvert.formats.protobuf import bytes_field
from effconvert.validate.data.classes import imagenet_classes
from effconvert.validate.data.dataset import open_dataset
from effconvert.validate.data.image_bytes import read_image
from effconvert.validate.data.imagenet import image_name, validation_labels
from effconvert.validate.data.locations import Location
from helpers import image_sets


def refused(path: Path | str, *words: str, **options: Any) -> str:
    """Open what must be refused, expect the words in the message, and return it."""
    with pytest.raises(DatasetProblem) as error:
        open_dataset(path, **{"partial": True} | options)  # type: ignore[arg-type]
    assert error.value.exit_code == 7
    for word in words:
        assert word in str(error.value)
    return str(error.value)


def test_a_path_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    for name in ("nothing", "nothing-*.tar"):
        with pytest.raises(MissingPath, match="no such file or directory"):
            open_dataset(tmp_path / name)


def test_missing_images_are_named_with_their_classes_and_the_remedy(tmp_path: Path) -> None:
    path = image_sets.write_class_folders(tmp_path, image_sets.samples())
    message = refused(path, "49,976 of ImageNet's 50,000 validation images are missing", "partial=True", partial=False)
    assert "1,000 classes with fewer than 50: n01440764 (tench) has 0, n01443537 (goldfish) has 4" in message
    assert "missing are ILSVRC2012_val_00000001" in message or "missing are ILSVRC2012_val_00000002" in message


def test_all_problems_stand_in_one_message(tmp_path: Path) -> None:
    path = image_sets.write_class_folders(tmp_path, image_sets.samples())
    for name in ("n99999999/one.JPEG", "n88888888/two.JPEG", "beside.JPEG"):
        image_sets.write(path / name, b"")
    (path / "n01443537" / "gone.JPEG").symlink_to(tmp_path / "nowhere")
    unknown = "(a synset, but not one of ImageNet's 1,000) (1 image) is not in the class list imagenet-1k"
    refused(
        path,
        "1 image beside the class folders, so without a class: beside.JPEG",
        "n01443537/gone.JPEG: a broken link",
        f"class folder 'n99999999' {unknown}",
        f"class folder 'n88888888' {unknown}",
    )


def test_an_image_that_stands_twice_is_named_with_both_places(tmp_path: Path) -> None:
    images = image_sets.samples()
    path = image_sets.write_class_folders(tmp_path, images)
    name = images[0].name.replace(".JPEG", ".png")
    image_sets.write(path / images[1].synset / name, b"")
    refused(
        path, f"{images[0].name} occurs 2 times", f"{images[0].synset}/{images[0].name}", f"{images[1].synset}/{name}"
    )


def test_an_image_that_stands_twice_in_a_tar_is_refused(tmp_path: Path) -> None:
    image = image_sets.samples()[0]
    path = image_sets.tar(tmp_path / "val.tar", [(image.name, image.data)] * 2)
    refused(path, f"{image.name} occurs 2 times")


def test_an_empty_folder_holds_no_image(tmp_path: Path) -> None:
    refused(tmp_path, "contains neither images nor shards")
    (tmp_path / "more").mkdir()
    refused(tmp_path, "it contains more")


def test_a_folder_of_parts_is_refused_with_the_part_to_give(tmp_path: Path) -> None:
    for part in ("train", "val"):
        image_sets.write_class_folders(tmp_path / part, image_sets.samples())
    refused(
        tmp_path,
        "holds train/, val/, which are parts of a data set and not classes",
        f"give one of them: {tmp_path / 'val'}",
    )


def test_a_flat_folder_without_labels_is_refused(tmp_path: Path) -> None:
    for number in range(5):
        image_sets.write(tmp_path / f"{number}.jpg", b"")
    refused(tmp_path, "5 images without a label: 0.jpg, 1.jpg, 2.jpg", "labels=…")


@pytest.mark.parametrize(("mode", "name"), [("w:gz", "gzip"), ("w:bz2", "bzip2"), ("w:xz", "xz")])
def test_a_compressed_tar_is_refused_with_the_remedy(mode: Any, name: str, tmp_path: Path) -> None:
    path = image_sets.tar(tmp_path / "val.tar", [("a.jpg", b"")], mode)
    refused(path, f"compressed with {name}", "decompress it to a plain tar file")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    refused(image_sets.write(tmp_path / "val.tar", b"no tar"), "not a tar, Parquet or TFRecord file")
    refused(image_sets.write(tmp_path / "empty", b""), "not a tar, Parquet or TFRecord file")


@pytest.mark.parametrize("container", ["tar", "webdataset", "parquet", "tfrecord"])
def test_a_file_that_ends_too_early_is_refused(container: str, tmp_path: Path) -> None:
    image_sets.WRITERS[container](tmp_path, image_sets.samples())
    path = sorted(tmp_path.iterdir())[0]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    refused(path, str(path))


@pytest.mark.parametrize("container", ["tar", "tfrecord"])
def test_a_file_with_damaged_headers_is_refused(container: str, tmp_path: Path) -> None:
    image_sets.WRITERS[container](tmp_path, image_sets.samples())
    path = sorted(tmp_path.iterdir())[0]
    dataset = open_dataset(path, partial=True)
    start = dataset.locations[1].start
    content = bytearray(path.read_bytes())
    content[start - 512 : start - 4] = bytes(byte ^ 0x55 for byte in content[start - 512 : start - 4])
    path.write_bytes(content)
    refused(path, str(path), "damaged")


def test_a_tar_of_tars_holds_no_image(tmp_path: Path) -> None:
    path = image_sets.tar(tmp_path / "ILSVRC2012_img_train.tar", [("n01440764.tar", b""), ("n01443537.tar", b"")])
    refused(path, "a tar file without images; left out: files of another kind, .tar (2)")


def test_a_tar_with_links_is_refused(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "val.tar", "w") as archive:
        member = tarfile.TarInfo("a.JPEG")
        member.type, member.linkname = tarfile.SYMTYPE, "b.JPEG"
        archive.addfile(member)
    refused(tmp_path / "val.tar", "a.JPEG is a link")


def test_a_label_without_an_image_in_a_webdataset_is_refused(tmp_path: Path) -> None:
    path = image_sets.tar(tmp_path / "val.tar", [("a.jpg", b""), ("a.cls", b"1"), ("b.cls", b"2")])
    refused(path, "b: a label without an image: b.cls")


def test_a_sample_without_a_label_in_a_webdataset_is_refused(tmp_path: Path) -> None:
    path = image_sets.tar(tmp_path / "val.tar", [("a.jpg", b""), ("a.cls", b"1"), ("b.jpg", b"")])
    refused(path, "1 image without a label: b.jpg")


def test_json_of_a_webdataset_that_is_none_is_refused(tmp_path: Path) -> None:
    path = image_sets.tar(tmp_path / "val.tar", [("a.jpg", b""), ("a.json", b"{label")])
    refused(path, "a.json: not JSON")


def test_a_record_without_an_image_is_refused_with_what_it_has(tmp_path: Path) -> None:
    content = image_sets.record(image_sets.example({"image/class/label": 5, "height": 3}))
    path = image_sets.write(tmp_path / "validation", content)
    refused(path, "validation:0: has no image; its features are height, image/class/label")


def test_a_record_whose_image_is_numbers_is_refused_with_its_features(tmp_path: Path) -> None:
    content = image_sets.record(image_sets.example({"image": 5, "label": 3}))
    path = image_sets.write(tmp_path / "validation", content)
    refused(path, "validation:0: has no image; its features are image, label")


def test_an_image_of_many_numbers_is_found_when_it_is_read(tmp_path: Path) -> None:
    numbers = bytes_field(3, bytes_field(1, bytes(range(100)) * 60))
    feature = bytes_field(1, bytes_field(1, b"image") + bytes_field(2, numbers))
    content = image_sets.record(bytes_field(1, feature))
    path = image_sets.write(tmp_path / "validation", content)
    with pytest.raises(DatasetProblem, match="the record at byte 0 has no image: no bytes in its feature image$"):
        read_image(Location("record", str(path), 12, len(content) - 16))


def test_a_record_that_is_no_example_is_refused(tmp_path: Path) -> None:
    refused(
        image_sets.write(tmp_path / "validation", image_sets.record(b"\xff" * 30)), "not a record of tf.train.Example"
    )


def test_the_background_class_is_no_label_of_an_image(tmp_path: Path) -> None:
    content = image_sets.record(image_sets.example({"image/encoded": b"x", "image/class/label": 0}))
    path = image_sets.write(tmp_path / "validation", content)
    refused(path, "1 image without a label: validation:0")


def test_a_damaged_record_is_found_when_its_image_is_read(tmp_path: Path) -> None:
    image_sets.write_tfrecords(tmp_path, image_sets.samples())
    path = tmp_path / "validation-00000-of-00002"
    location = open_dataset(path, partial=True).locations[2]
    content = bytearray(path.read_bytes())
    content[location.start + location.length // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetProblem, match=r"the record at byte [0-9,]+ is damaged: its checksum is wrong"):
        read_image(location)


@pytest.mark.parametrize("reader", ["file", "bytes", "record"])
def test_a_file_that_is_gone_is_named_when_its_image_is_read(reader: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetProblem, match=re.escape(str(tmp_path / "gone"))):
        read_image(Location(reader, str(tmp_path / "gone"), 0, 1))


def test_a_row_without_an_image_is_named(tmp_path: Path) -> None:
    images = [image._replace(data=None) for image in image_sets.samples()]  # type: ignore[arg-type]
    dataset = open_dataset(image_sets.write_parquet(tmp_path, images), partial=True)
    with pytest.raises(DatasetProblem, match="row 3 of row group 1 has no image, only a path"):
        read_image(dataset.locations[8])


def test_a_parquet_file_of_other_columns_is_refused_with_those_it_has(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.table({"text": ["a"], "label": [1]}), tmp_path / "a.parquet")
    refused(tmp_path / "a.parquet", "no column `image`; it has text, label")


def test_without_pyarrow_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image_sets.write_parquet(tmp_path, image_sets.samples())
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(Unavailable, match=re.escape('pip install "effconvert[parquet]"')):
        open_dataset(path)


def test_missing_shards_are_named(tmp_path: Path) -> None:
    image_sets.write_webdataset(tmp_path / "web", image_sets.samples())
    refused(str(tmp_path / "web" / "val-{000000..000002}.tar"), "1 of 3 shards are missing", "val-000002.tar")
    image_sets.write_tfrecords(tmp_path / "tf", image_sets.samples())
    (tmp_path / "tf" / "validation-00000-of-00002").unlink()
    refused(tmp_path / "tf", "1 of 2 shards are missing", "00000-of-00002")


def test_shards_of_two_parts_are_refused_with_the_pattern_to_give(tmp_path: Path) -> None:
    path = image_sets.write_parquet(tmp_path, image_sets.samples())
    (path / "train-00000-of-00001.parquet").write_bytes((path / "validation-00000-of-00002.parquet").read_bytes())
    refused(path, "shards of train, validation", f"give one: '{path}/validation-*.parquet'")


def test_shards_of_two_kinds_are_refused(tmp_path: Path) -> None:
    image_sets.write_tar(tmp_path, image_sets.samples())
    image_sets.write_parquet(tmp_path, image_sets.samples())
    refused(tmp_path, "shards of several kinds, parquet, tar")


def test_a_link_to_a_folder_that_it_lies_in_is_named(tmp_path: Path) -> None:
    path = image_sets.write_class_folders(tmp_path, image_sets.samples())
    folder = next(entry for entry in path.iterdir() if entry.is_dir())
    (folder / "again").symlink_to(path)
    refused(path, f"{folder.name}/again: a link to a folder that contains it")


@pytest.mark.parametrize("partial", [False, pytest.param(True, marks=pytest.mark.deep)])
def test_all_of_imagenets_images_with_a_label_that_is_not_its_own_are_refused(partial: bool, tmp_path: Path) -> None:
    synsets = imagenet_classes().identifiers
    labels = validation_labels().tolist()
    labels[0] = (labels[0] + 1) % 1000
    members = [(f"{synsets[label]}/{image_name(number)}", b"") for number, label in enumerate(labels, start=1)]
    path = image_sets.tar(tmp_path / "val.tar", members)
    with pytest.raises(DatasetProblem) as failure:
        open_dataset(path, partial=partial)
    assert "ImageNet's validation images without its labels; if other labels are intended" in str(failure.value)
    assert "1 of 50,000 images have another label than ImageNet gave them: ILSVRC2012_val_00000001" in str(
        failure.value
    )
    assert "order" not in str(failure.value)

"""The class order comes from synsets or a class list, never from numbers or the order of folders."""

import json
import re
from pathlib import Path

import pytest

from effconvert.errors import DatasetProblem, MissingPath
from effconvert.validate.data.classes import ClassList, imagenet_classes, read_classes
from effconvert.validate.data.dataset import Dataset, open_dataset
from effconvert.validate.data.imagenet import PER_CLASS, image_name, validation_labels
from helpers import image_sets


def folders(path: Path, names: list[str], each: int = 1) -> Path:
    for name in names:
        for number in range(each):
            image_sets.write(path / name / f"{name}-{number}.jpg", b"")
    return path


def by_folder(dataset: Dataset) -> dict[str, int]:
    return {name.partition("-")[0]: int(label) for name, label in zip(dataset.names, dataset.labels[:, 0], strict=True)}


def test_imagenets_classes_stand_in_the_order_of_their_synsets() -> None:
    classes = imagenet_classes()
    assert list(classes.identifiers) == sorted(classes.identifiers)
    assert (classes.identifiers[0], classes.names[0]) == ("n01440764", "tench")
    assert (classes.names[282], classes.groups[282]) == ("tiger cat", "cat")
    assert [classes.groups[index] for index in (150, 151, 268, 269)] == ["mammal", "dog", "dog", "wolf or fox"]
    assert len(classes) == len(set(classes.names)) == len(classes.groups) == 1000


def test_a_part_of_the_synsets_keeps_their_places(tmp_path: Path) -> None:
    dataset = open_dataset(folders(tmp_path, ["n02123159", "n01440764", "n15075141"]))
    assert by_folder(dataset) == {"n02123159": 282, "n01440764": 0, "n15075141": 999}
    assert dataset.classes == imagenet_classes()


def test_the_folders_of_imagenet_v2_are_places_themselves(tmp_path: Path) -> None:
    dataset = open_dataset(folders(tmp_path, [str(number) for number in range(1000)]))
    assert by_folder(dataset) == {str(number): number for number in range(1000)}
    assert dataset.classes.name == "imagenet-1k"
    assert not dataset.imagenet_validation
    assert "1,000 images of 1,000 classes, 1 of each" in dataset.findings


def test_the_folders_of_imagenet_v2_are_places_in_a_tar_as_well(tmp_path: Path) -> None:
    path = image_sets.tar(tmp_path / "v2.tar", [(f"v2/{number}/{number}-0.jpg", b"") for number in range(1000)])
    assert by_folder(open_dataset(path)) == {str(number): number for number in range(1000)}


def test_a_part_of_imagenet_v2_that_begins_with_0_keeps_its_places(tmp_path: Path) -> None:
    dataset = open_dataset(folders(tmp_path, ["0", "10", "2", "999"]))
    assert by_folder(dataset) == {"0": 0, "10": 10, "2": 2, "999": 999}
    assert any("ImageNet's class indices, from 0" in finding for finding in dataset.findings)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (range(1, 1001), "1 to 1000, 1,000 of them; numbers from 1 to 1,000 may be ILSVRC ids or indices from 1"),
        (range(1, 10), "the class folders are numbers, 1 to 9, 9 of them; only numbers from 0 are unambiguous"),
        (range(5, 1100), "the class folders are numbers, 5 to 1099"),
    ],
)
def test_other_numbers_are_refused_with_the_remedy(names: range, words: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetProblem, match=re.escape(words)) as error:
        open_dataset(folders(tmp_path, [str(name) for name in names]))
    assert "classes=…, a file with a line `identifier,name` for each class" in str(error.value)


def test_folders_named_in_digits_that_are_no_numbers_are_classes_of_their_own(tmp_path: Path) -> None:
    dataset = open_dataset(folders(tmp_path, ["0", "\u00b2", "\u0663"]))
    assert dataset.classes.identifiers == ("0", "\u00b2", "\u0663")


def test_numbers_with_a_list_of_classes_are_what_the_list_says(tmp_path: Path) -> None:
    classes = ClassList("mine", ("10", "2", "1"), ("ten", "two", "one"))
    assert by_folder(open_dataset(folders(tmp_path, ["1", "2", "10"]), classes)) == {"10": 0, "2": 1, "1": 2}


def test_folders_may_have_the_identifiers_or_the_names_of_a_list(tmp_path: Path) -> None:
    classes = ClassList("mine", ("c", "b", "a"), ("see", "bee", "ay"))
    dataset = open_dataset(folders(tmp_path, ["a", "bee", "c"]), classes)
    assert by_folder(dataset) == {"a": 2, "bee": 1, "c": 0}
    assert dataset.classes is classes


def test_a_folder_that_a_list_does_not_have_is_refused(tmp_path: Path) -> None:
    classes = ClassList("mine", ("a", "b"), ("a", "b"))
    with pytest.raises(DatasetProblem, match=re.escape("class folder 'z' (3 images) is not in the class list mine")):
        open_dataset(folders(tmp_path, ["a", "z"], 3), classes)


def test_without_a_list_own_folders_are_sorted_and_that_is_said(tmp_path: Path) -> None:
    dataset = open_dataset(folders(tmp_path, ["rose", "daisy", "tulip", "aster"], 2))
    assert dataset.classes.identifiers == ("aster", "daisy", "rose", "tulip")
    assert by_folder(dataset) == {"aster": 0, "daisy": 1, "rose": 2, "tulip": 3}
    said = "4 classes that are not ImageNet's, in this order: aster, daisy, rose, …; if the network has another order"
    assert any(said in finding for finding in dataset.findings)
    assert "8 images of 4 classes, 2 of each" in dataset.findings


def test_a_class_folder_without_an_image_is_said_and_keeps_its_place(tmp_path: Path) -> None:
    folders(tmp_path, ["aster", "rose"])
    (tmp_path / "daisy").mkdir()
    dataset = open_dataset(tmp_path)
    assert by_folder(dataset) == {"aster": 0, "rose": 2}
    assert "1 of 3 classes have no image: daisy (only_present=True leaves them out)" in dataset.findings


def test_names_that_two_folders_share_keep_their_folder(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        image_sets.write(tmp_path / name / "1.jpg", b"")
    assert open_dataset(tmp_path).names == ("cat/1.jpg", "dog/1.jpg")


def test_a_number_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    path = image_sets.tar(tmp_path / "val.tar", [("a.jpg", b""), ("a.cls", b"1000")])
    with pytest.raises(
        DatasetProblem, match="label 1000 .* is not an index of the 1,000 classes .*; labels count from 0"
    ):
        open_dataset(path)


def relabelled(path: Path, change: dict[int, int]) -> Path:
    """Write ImageNet's images into the folders of other classes."""
    images = [image._replace(index=change.get(image.index, image.index)) for image in image_sets.samples()]
    return image_sets.write_webdataset(path, images)


def test_labels_that_are_not_imagenets_own_are_said_and_not_imagenet(tmp_path: Path) -> None:
    dataset = open_dataset(relabelled(tmp_path, {281: 282}))
    finding = next(finding for finding in dataset.findings if "another label" in finding)
    assert finding.startswith("4 of 24 images have another label than ImageNet gave them: ILSVRC2012_val_")
    assert finding.endswith("is n02123045 (tabby), here n02123159 (tiger cat)")
    assert not dataset.imagenet_validation
    assert dataset.missing == 0


def test_images_with_other_names_among_imagenets_are_said(tmp_path: Path) -> None:
    path = image_sets.write_class_folders(tmp_path, image_sets.samples())
    image_sets.write(path / "n01440764" / "mine.JPEG", b"")
    dataset = open_dataset(path)
    assert "1 image with other names than ImageNet's" in dataset.findings
    assert not dataset.imagenet_validation


@pytest.mark.parametrize("cause", ["the labels count from 1", "the labels are ids of the development kit"])
def test_the_cause_of_wrong_labels_is_named(cause: str, tmp_path: Path) -> None:
    from effconvert.validate.data.classes import imagenet_rows

    ids = {int(row["index"]): int(row["ilsvrc_id"]) for row in imagenet_rows()}
    change = {index: index + 1 if "from 1" in cause else ids[index] for index in image_sets.CLASSES}
    assert any(cause in finding for finding in open_dataset(relabelled(tmp_path, change)).findings)


def complete(path: Path, named: bool) -> Path:
    """Write all of ImageNet's validation set, images of no bytes, with its names or with others."""
    images = [
        (image_name(number) if named else f"{number}.jpg", int(index))
        for number, index in enumerate(validation_labels(), 1)
    ]
    synsets = imagenet_classes().identifiers
    return image_sets.tar(path / "val.tar", [(f"{synsets[index]}/{name}", b"") for name, index in images])


@pytest.mark.parametrize("named", [pytest.param(True, marks=pytest.mark.deep), False])
def test_the_whole_validation_set_is_complete_with_or_without_its_names(named: bool, tmp_path: Path) -> None:
    dataset = open_dataset(complete(tmp_path, named))
    assert dataset.findings == ("50,000 images of 1,000 classes, 50 of each: ImageNet's validation set, complete",)
    assert dataset.imagenet_validation
    assert dataset.missing == 0
    assert len(dataset) == 1000 * PER_CLASS


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("classes.txt", "rose\ndaisy\n\ntulip\n"),
        ("classes.csv", "rose, Rosa\ndaisy ,Bellis\ntulip,Tulipa\n"),
        ("classes.json", '["rose", "daisy", "tulip"]'),
        ("classes.json", '{"2": "tulip", "0": "rose", "1": "daisy"}'),
        ("config.json", '{"id2label": {"0": "rose", "1": "daisy", "2": "tulip"}}'),
    ],
)
def test_a_list_of_classes_is_read_from(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    classes = read_classes(tmp_path / name)
    assert classes.identifiers == ("rose", "daisy", "tulip")
    assert classes.names[0] == ("Rosa" if "Rosa" in content else "rose")
    assert classes.name == name


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it contains no classes"),
        ("rose\ndaisy\nrose\n", "'rose' occurs 2 times"),
        ('["rose", 2]', "expected class names"),
        ('{"1": "rose", "2": "daisy"}', "every index from 0 to 1"),
        ('["rose"', "not JSON"),
        ("\udcff", "cannot be read as a list of classes"),
    ],
)
def test_a_list_of_classes_that_is_none_is_refused(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "classes").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DatasetProblem, match=re.escape(words)):
        read_classes(tmp_path / "classes")


def test_a_list_of_classes_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(MissingPath):
        read_classes(tmp_path / "nothing")


def test_imagenets_synsets_in_a_file_are_imagenets_classes(tmp_path: Path) -> None:
    (tmp_path / "synsets.json").write_text(json.dumps(imagenet_classes().identifiers))
    assert read_classes(tmp_path / "synsets.json") is imagenet_classes()


@pytest.mark.parametrize(
    ("only_present", "said"), [(False, "(only_present=True leaves them out)"), (True, "(they are left out)")]
)
def test_classes_without_images_are_said_with_what_becomes_of_them(
    tmp_path: Path, only_present: bool, said: str
) -> None:
    dataset = open_dataset(folders(tmp_path, ["n01440764", "n01443537"]), only_present=only_present)
    (finding,) = (each for each in dataset.findings if "998 of 1,000 classes have no image: " in each)
    assert finding.endswith(said)

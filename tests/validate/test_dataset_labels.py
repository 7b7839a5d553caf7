"""Labels are read from files of several kinds, and no kind is mistaken for another."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from effconvert.errors import DatasetProblem, MissingPath
from effconvert.validate.data.classes import imagenet_classes, imagenet_rows
from effconvert.validate.data.dataset import open_dataset
from effconvert.validate.data.imagenet import IMAGES, image_name, validation_labels
from effconvert.validate.predictions import NO_LABEL
from helpers import image_sets

IMAGES_OF_TEST = image_sets.samples()
INDICES = [image.index for image in IMAGES_OF_TEST]
IDS = {int(row["index"]): int(row["ilsvrc_id"]) for row in imagenet_rows()}


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """A flat folder, its images called 00.jpg, 01.jpg, …, so that only a file can say what they are."""
    for place, image in enumerate(IMAGES_OF_TEST):
        image_sets.write(tmp_path / "flat" / f"{place:02}.jpg", image.data)
    return tmp_path / "flat"


def lines(form: str) -> str:
    classes = imagenet_classes()
    return "".join(
        form.format(place=place, index=index, synset=classes.identifiers[index], name=classes.names[index]) + "\n"
        for place, index in enumerate(INDICES)
    )


@pytest.mark.parametrize(
    "form",
    [
        "{place:02}.jpg {index}",
        "{place:02}.jpg\t{synset}",
        "{place:02}.jpg,{name}",
        '"{place:02}.jpg", "{name}"',
        "{place:02} {synset}",
        "./val/{place:02}.jpg  {name}",
        "{place:02},{synset} 12 13 300 400 {synset} 1 2 3 4",
    ],
)
def test_a_file_beside_the_images_is_found_and_read(form: str, flat: Path) -> None:
    (flat / "val.txt").write_text(lines(form))
    dataset = open_dataset(flat)
    assert dataset.labels[:, 0].tolist() == INDICES
    assert f"labels from {flat / 'val.txt'}" in dataset.findings


def test_a_header_and_a_mark_of_the_byte_order_do_no_harm(flat: Path) -> None:
    (flat / "val.csv").write_text("\ufeffImageId,PredictionString\n" + lines("{place:02},{synset}"))
    assert open_dataset(flat).labels[:, 0].tolist() == INDICES


def test_words_that_are_not_imagenets_are_classes_of_their_own(flat: Path) -> None:
    words = ("orange", "rose", "tulip")
    (flat / "val.txt").write_text("".join(f"{place:02}.jpg {words[place % 3]}\n" for place in range(24)))
    dataset = open_dataset(flat)
    assert dataset.classes.identifiers == words
    assert dataset.labels[:6, 0].tolist() == [0, 1, 2, 0, 1, 2]


def test_a_text_that_holds_no_labels_is_no_image(flat: Path) -> None:
    (flat / "README.txt").write_text("Some words about these images.\nAnd more.\n")
    (flat / "val.txt").write_text(lines("{place:02}.jpg {index}"))
    (flat / "._00.jpg").write_bytes(b"")
    findings = open_dataset(flat).findings
    (left_out,) = [words for words in findings if words.startswith("left out: ")]
    assert "files that are not images (1)" in left_out
    assert "hidden files (1)" in left_out


def test_of_two_files_of_labels_one_must_be_chosen(flat: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (flat / name).write_text(lines("{place:02}.jpg {index}"))
    with pytest.raises(DatasetProblem, match=r"several files of labels: a.txt, b.txt; choose one with labels=…"):
        open_dataset(flat)
    assert open_dataset(flat, labels=flat / "a.txt").labels[:, 0].tolist() == INDICES


def test_labels_elsewhere_replace_those_of_the_folders(tmp_path: Path) -> None:
    path = image_sets.write_class_folders(tmp_path / "val", IMAGES_OF_TEST)
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{image.name} {image.index + 1}\n" for image in IMAGES_OF_TEST))
    dataset = open_dataset(path, labels=labels)
    found = dict(zip(dataset.names, dataset.labels[:, 0], strict=True))
    assert found == {image.name: image.index + 1 for image in IMAGES_OF_TEST}
    assert not dataset.imagenet_validation


def test_an_image_without_a_label_and_a_label_without_an_image_are_one_error(flat: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text(lines("{place:02}.jpg {index}").replace("03.jpg", "no.jpg"))
    with pytest.raises(DatasetProblem) as error:
        open_dataset(flat, labels=labels)
    assert "labels.txt: 1 label without an image: no.jpg" in str(error.value)
    assert "1 image without a label: 03.jpg" in str(error.value)


def test_labels_of_images_that_are_not_there_are_a_finding_of_a_part(flat: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text(lines("{place:02}.jpg {index}") + "more.jpg 3\n")
    dataset = open_dataset(flat, labels=labels, partial=True)
    assert "labels.txt: 1 label without an image: more.jpg" in dataset.findings


def test_two_labels_of_an_image_are_refused_with_the_line(flat: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text(lines("{place:02}.jpg {index}") + "03.jpg 5\n")
    with pytest.raises(DatasetProblem, match=r"images with two labels:\n  line 25: 03.jpg already has a label"):
        open_dataset(flat, labels=labels)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is empty"),
        ("a.jpg 1\nb.jpg\n", "line 2: 'b.jpg' has no label"),
        ("1\n2\n3\n", "3 labels without names, and 24 images: the numbers differ, so labels cannot be matched"),
        ("0\n" * 24, "found 0; the development kit's ids are 1 to 1000"),
        ("[[1], [2]]", "found a list of 2; expected 50,000 lists of classes"),
        ('{"a": 1}', "found dict; expected 50,000 lists of classes"),
        ("[[1], [2]", "not JSON"),
        ("[" + "[1], " * 49_999 + "[1000]]", "an entry is not a list of classes"),
    ],
)
def test_a_file_that_holds_no_labels_of_these_images_is_refused(
    content: str, words: str, flat: Path, tmp_path: Path
) -> None:
    labels = tmp_path / "labels"
    labels.write_text(content)
    with pytest.raises(DatasetProblem, match=re.escape(words)):
        open_dataset(flat, labels=labels)


def test_a_file_of_labels_that_does_not_exist_is_a_usage_error(flat: Path) -> None:
    with pytest.raises(MissingPath):
        open_dataset(flat, labels=flat / "nothing.txt")
    with pytest.raises(DatasetProblem, match="cannot be read as labels"):
        open_dataset(flat, labels=flat)


def test_the_ids_of_the_development_kit_are_not_the_order_of_the_synsets() -> None:
    known = [490, 361, 171, 822, 297, 482, 13, 704, 599, 164, 649, 11, 73, 286, 554, 6, 648, 399, 749, 545]
    assert [IDS[index] for index in validation_labels()[:20]] == known  # how its ground truth begins
    assert sorted(IDS.values()) == list(range(1, 1001))


def test_the_whole_ground_truth_gives_a_part_of_the_images_their_lines(tmp_path: Path) -> None:
    for image in IMAGES_OF_TEST:
        image_sets.write(tmp_path / image.name, image.data)
    truth = "".join(f"{IDS[index]}\n" for index in validation_labels())
    (tmp_path / "ILSVRC2012_validation_ground_truth.txt").write_text(truth)
    dataset = open_dataset(tmp_path, partial=True)
    assert dataset.labels[:, 0].tolist() == INDICES
    assert dataset.imagenet_validation


def test_a_ground_truth_that_does_not_fit_its_folder_is_refused(tmp_path: Path) -> None:
    path = image_sets.write_flat_folder(tmp_path, IMAGES_OF_TEST)
    (path / IMAGES_OF_TEST[0].name).unlink()
    with pytest.raises(DatasetProblem, match="24 labels without names, and 23 images"):
        open_dataset(path)


def test_imagenets_own_names_are_labels_enough(tmp_path: Path) -> None:
    for image in IMAGES_OF_TEST:
        image_sets.write(tmp_path / image.name, image.data)
    dataset = open_dataset(tmp_path, partial=True)
    assert dataset.labels[:, 0].tolist() == INDICES
    assert "labels are ImageNet's own, found by the images' names" in dataset.findings


def test_synsets_in_the_names_are_labels(tmp_path: Path) -> None:
    for place, image in enumerate(IMAGES_OF_TEST):
        image_sets.write(tmp_path / f"{image.synset}_{place}.JPEG", image.data)
    dataset = open_dataset(tmp_path)
    assert sorted(dataset.labels[:, 0]) == sorted(INDICES)
    assert not dataset.imagenet_validation


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """ImageNet-ReaL's file: each image has its own label and the next, but every third of the test set has none."""
    rows = [[int(index), (int(index) + 1) % 1000] for index in validation_labels()]
    for image in IMAGES_OF_TEST[::3]:
        rows[int(image.name[15:23]) - 1] = []
    path = tmp_path / "real.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize("container", image_sets.WRITERS)
def test_real_labels_belong_to_the_names_in_every_container(container: str, real: Path, tmp_path: Path) -> None:
    path = image_sets.WRITERS[container](tmp_path / "set", IMAGES_OF_TEST)
    dataset = open_dataset(path, labels=real, partial=True)
    found = {name: row.tolist() for name, row in zip(dataset.names, dataset.labels, strict=True)}
    expected = {image.name: [image.index, image.index + 1] for place, image in enumerate(IMAGES_OF_TEST) if place % 3}
    assert found == expected
    assert len(dataset.locations) == 16
    assert "labels of ImageNet-ReaL, up to 2 for each image; left out: 8 images without a label" in dataset.findings
    assert dataset.imagenet_validation


def test_rows_of_real_labels_end_where_others_go_on(real: Path, tmp_path: Path) -> None:
    rows = json.loads(real.read_text())
    rows[int(IMAGES_OF_TEST[1].name[15:23]) - 1] = [7]
    real.write_text(json.dumps(rows))
    path = image_sets.write_tar(tmp_path, IMAGES_OF_TEST)
    dataset = open_dataset(path, labels=real, partial=True)
    assert dataset.labels[dataset.names.index(IMAGES_OF_TEST[1].name)].tolist() == [7, NO_LABEL]
    assert dataset.fingerprint != open_dataset(path, partial=True).fingerprint


def test_real_labels_need_imagenets_names(real: Path, tmp_path: Path) -> None:
    for place, image in enumerate(IMAGES_OF_TEST):
        image_sets.write(tmp_path / "val" / image.synset / f"{place}.JPEG", image.data)
    with pytest.raises(DatasetProblem, match=r"24 images with other names"):
        open_dataset(tmp_path / "val", labels=real)


@pytest.mark.parametrize("digits", ["\u00b2", "9" * 5000])
def test_digits_that_are_no_number_are_the_name_of_a_class_and_no_id(digits: str, flat: Path, tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(lines(f"{{place:02}}.jpg {digits}"), encoding="utf-8")
    assert open_dataset(flat, labels=path).classes.identifiers == (digits,)
    path.write_text(lines(digits), encoding="utf-8")
    with pytest.raises(DatasetProblem, match=r"line 1: '.*' has no label"):
        open_dataset(flat, labels=path)


def test_every_image_of_imagenet_has_a_label_50_of_each_class() -> None:
    assert len(validation_labels()) == IMAGES
    assert np.bincount(validation_labels()).tolist() == [50] * 1000
    assert image_name(293) == "ILSVRC2012_val_00000293.JPEG"

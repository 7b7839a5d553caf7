"""The same images are the same data set in every container."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from effconvert.validate.data.dataset import Dataset, open_dataset
from effconvert.validate.data.image_bytes import read_image
from helpers import image_sets


def opened(container: str, folder: Path, images: list[image_sets.Sample] | None = None) -> Dataset:
    return open_dataset(image_sets.WRITERS[container](folder / "set", images or image_sets.samples()), partial=True)


@pytest.mark.parametrize("container", image_sets.WRITERS)
def test_every_container_gives_the_same_images_with_the_same_labels(container: str, tmp_path: Path) -> None:
    dataset = opened(container, tmp_path)
    found = {
        (name, int(label), read_image(location))
        for name, label, location in zip(dataset.names, dataset.labels[:, 0], dataset.locations, strict=True)
    }
    assert found == {(image.name, image.index, image.data) for image in image_sets.samples()}
    assert dataset.labels.shape == (len(image_sets.samples()), 1)
    assert dataset.imagenet_validation
    assert dataset.missing == 50_000 - len(dataset)


def test_the_fingerprint_is_the_same_in_every_container(tmp_path: Path) -> None:
    prints = {opened(container, tmp_path / container).fingerprint for container in image_sets.WRITERS}
    assert len(prints) == 1


@pytest.mark.parametrize("change", ["a name", "a label"])
def test_the_fingerprint_changes_with(change: str, tmp_path: Path) -> None:
    images = image_sets.samples()
    before = opened("class folders", tmp_path / "before").fingerprint
    if change == "a name":
        images[0] = images[0]._replace(name="ILSVRC2012_val_00049999.JPEG")
    else:
        images[0] = images[0]._replace(index=3)
    assert opened("class folders", tmp_path / "after", images).fingerprint != before


@pytest.mark.parametrize("container", image_sets.WRITERS)
def test_images_are_read_in_any_order(container: str, tmp_path: Path) -> None:
    dataset = opened(container, tmp_path)
    by_name = {image.name: image.data for image in image_sets.samples()}
    for place in np.random.default_rng(0).permutation(len(dataset)):
        assert read_image(dataset.locations[place]) == by_name[dataset.names[place]]


def test_reading_needs_neither_torch_nor_pandas_nor_pyarrow(tmp_path: Path) -> None:
    dataset = opened("tar", tmp_path)
    code = f"""
import sys
from effconvert.validate.data.dataset import open_dataset
from effconvert.validate.data.image_bytes import read_image
read_image(open_dataset({dataset.path!r}, partial=True).locations[0])
print([name for name in ("torch", "pandas", "pyarrow") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_folder_of_shards_is_its_shards(tmp_path: Path) -> None:
    image_sets.write_webdataset(tmp_path, image_sets.samples())
    dataset = open_dataset(tmp_path, partial=True)
    assert dataset.kind == "2 WebDataset shards"
    assert len(dataset) == len(image_sets.samples())


def test_a_tar_of_class_folders_has_its_labels_from_them(tmp_path: Path) -> None:
    images = image_sets.samples()
    path = image_sets.tar(
        tmp_path / "val.tar", [(f"./val/{image.synset}/x{image.name}", image.data) for image in images]
    )
    dataset = open_dataset(path, partial=True)
    assert dataset.labels[:, 0].tolist() == [image.index for image in images]


def test_a_tar_with_long_names_is_read(tmp_path: Path) -> None:
    images = image_sets.samples()
    deep = "/".join(["a rather long name of a folder"] * 8)
    path = image_sets.tar(
        tmp_path / "val.tar", [(f"{deep}/{image.synset}/{image.name}", image.data) for image in images]
    )
    dataset = open_dataset(path, partial=True)
    assert [read_image(location) for location in dataset.locations] == [image.data for image in images]


def test_a_webdataset_may_say_the_class_in_json_or_as_a_synset(tmp_path: Path) -> None:
    images = image_sets.samples()
    files = []
    for image in images[:12]:
        files += [(f"{image.name[:-5]}.jpeg", image.data), (f"{image.name[:-5]}.cls", image.synset.encode())]
    for image in images[12:]:
        key = image.name[-10:-5]
        about = f'{{"label": {image.index}, "filename": "{image.name}"}}'.encode()
        files += [(f"{key}.jpg", image.data), (f"{key}.json", about)]
    dataset = open_dataset(image_sets.tar(tmp_path / "val.tar", files), partial=True)
    assert dataset.names == tuple(image.name for image in images)
    assert dataset.labels[:, 0].tolist() == [image.index for image in images]


def test_records_of_tensorflow_datasets_are_read(tmp_path: Path) -> None:
    images = image_sets.samples()
    examples = [
        image_sets.example({"file_name": image.name.encode(), "image": image.data, "label": image.index})
        for image in images
    ]
    image_sets.write(tmp_path / "validation.tfrecord", b"".join(map(image_sets.record, examples)))
    dataset = open_dataset(tmp_path / "validation.tfrecord", partial=True)
    assert dataset.labels[:, 0].tolist() == [image.index for image in images]
    assert [read_image(location) for location in dataset.locations] == [image.data for image in images]


def test_official_records_without_a_synset_count_from_one(tmp_path: Path) -> None:
    images = image_sets.samples()
    examples = [
        image_sets.example({"image/class/label": image.index + 1, "image/encoded": image.data}) for image in images
    ]
    image_sets.write(tmp_path / "validation", b"".join(map(image_sets.record, examples)))
    dataset = open_dataset(tmp_path / "validation")
    assert dataset.labels[:, 0].tolist() == [image.index for image in images]
    assert dataset.names[3] == "validation:3"
    assert not dataset.imagenet_validation


def test_class_names_of_a_parquet_file_that_are_not_imagenets_are_its_class_list(tmp_path: Path) -> None:
    images = [image._replace(index=place % 3, name=f"{place}.jpg") for place, image in enumerate(image_sets.samples())]
    dataset = open_dataset(image_sets.write_parquet(tmp_path, images, ["rose", "daisy", "tulip"]))
    assert dataset.classes.identifiers == ("rose", "daisy", "tulip")
    assert np.bincount(dataset.labels[:, 0]).tolist() == [8, 8, 8]
    assert any("3 classes that are not ImageNet's" in finding for finding in dataset.findings)


def test_a_parquet_file_is_read_by_the_order_of_a_class_list(tmp_path: Path) -> None:
    images = [image._replace(index=place % 3, name=f"{place}.jpg") for place, image in enumerate(image_sets.samples())]
    from effconvert.validate.data.classes import ClassList

    classes = ClassList("mine", ("daisy", "rose", "tulip"), ("daisy", "rose", "tulip"))
    dataset = open_dataset(image_sets.write_parquet(tmp_path, images, ["rose", "daisy", "tulip"]), classes)
    label = dict(zip((name.partition("_")[0] for name in dataset.names), dataset.labels[:, 0], strict=True))
    assert [label[str(place)] for place in range(3)] == [1, 0, 2]


def test_a_repository_of_the_hub_is_opened_where_it_keeps_its_data(tmp_path: Path) -> None:
    image_sets.WRITERS["parquet"](tmp_path / "imagenet-1k" / "data", image_sets.samples())
    (tmp_path / "imagenet-1k" / "README.md").write_text("a card")
    assert len(open_dataset(tmp_path / "imagenet-1k", partial=True)) == len(image_sets.samples())

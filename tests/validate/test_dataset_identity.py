"""A data set is identified by its classes and its images' names, labels and bytes; not by path or container."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from effconvert.errors import DatasetProblem
from effconvert.validate.data import image_hashes
from effconvert.validate.data.classes import ClassList
from effconvert.validate.data.dataset import Dataset, open_dataset
from effconvert.validate.data.image_bytes import read_image
from effconvert.validate.data.image_hashes import HASH_BYTES, UNREADABLE, ImageHashes, image_hash
from effconvert.validate.data.locations import Location
from helpers import image_sets

Samples = list[image_sets.Sample]
CLASSES = ("ant", "bee", "cat")


def fingerprint(container: str, folder: Path, images: Samples) -> str:
    return open_dataset(image_sets.WRITERS[container](folder / "set", images), partial=True).fingerprint


def with_a_byte_changed(images: Samples) -> Samples:
    data = bytearray(images[7].data)
    data[len(data) // 2] ^= 1
    return [*images[:7], images[7]._replace(data=bytes(data)), *images[8:]]


def with_two_exchanged(images: Samples) -> Samples:
    return [images[0]._replace(data=images[1].data), images[1]._replace(data=images[0].data), *images[2:]]


def with_one_more(images: Samples) -> Samples:
    return sorted([*images, image_sets.samples((3,), 1)[0]])


CHANGES: dict[str, Callable[[Samples], Samples]] = {
    "a byte": with_a_byte_changed,
    "two pictures exchanged": with_two_exchanged,
    "an image added": with_one_more,
    "an image removed": lambda images: images[1:],
}


@pytest.mark.parametrize("container", image_sets.WRITERS)
@pytest.mark.parametrize("change", CHANGES)
def test_it_is_another_data_set_with(change: str, container: str, tmp_path: Path) -> None:
    images = image_sets.samples()
    before = fingerprint(container, tmp_path / "before", images)
    assert fingerprint(container, tmp_path / "after", CHANGES[change](images)) != before
    assert fingerprint(container, tmp_path / "again", images) == before


def zoo(names: dict[str, str]) -> dict[str, bytes]:
    """Return {name: bytes} of images, a class's folder before each name; names: {name: its picture}."""
    return {name: f"picture {picture}".encode() for name, picture in names.items()}


def written(folder: Path, images: dict[str, bytes]) -> Dataset:
    for name, data in images.items():
        image_sets.write(folder / name, data)
    return open_dataset(folder)


ZOO = zoo({f"{name}/{number}.jpg": f"{name} {number}" for name in CLASSES for number in range(3)})


def test_the_order_of_the_classes_is_part_of_it(tmp_path: Path) -> None:
    written(tmp_path, ZOO)
    orders = [CLASSES, CLASSES[::-1], (*CLASSES, "dog")]
    found = [open_dataset(tmp_path, ClassList("list.txt", order, order)) for order in orders]
    assert len({dataset.fingerprint for dataset in found}) == 3
    assert len({dataset.listing["classes"] for dataset in found}) == 3
    named = ClassList("other.txt", CLASSES, ("an ant", "a bee", "a cat"))
    assert open_dataset(tmp_path, named).fingerprint == found[0].fingerprint


def test_equal_names_in_two_classes_are_not_exchangeable(tmp_path: Path) -> None:
    other = ZOO | {"ant/0.jpg": ZOO["bee/0.jpg"], "bee/0.jpg": ZOO["ant/0.jpg"]}
    assert written(tmp_path / "one", ZOO).fingerprint != written(tmp_path / "other", other).fingerprint


def test_folders_within_a_class_are_part_of_a_name(tmp_path: Path) -> None:
    one = written(tmp_path / "one", ZOO | zoo({"ant/new/9.jpg": "x", "ant/old/9.jpg": "y"}))
    other = written(tmp_path / "other", ZOO | zoo({"ant/new/9.jpg": "x", "ant/older/9.jpg": "y"}))
    assert one.listing["names"] != other.listing["names"]
    assert one.fingerprint != other.fingerprint


def in_folders(folder: Path) -> Path:
    written(folder, ZOO)
    return folder


def in_tar(folder: Path) -> Path:
    return image_sets.tar(folder / "zoo.tar", [(f"./zoo/val/{name}", data) for name, data in ZOO.items()])


def in_webdataset(folder: Path) -> Path:
    files = []
    for name, data in ZOO.items():
        label = name.partition("/")[0].encode()
        files += [(name.replace(".jpg", ".jpeg"), data), (name.replace(".jpg", ".cls"), label)]
    return image_sets.tar(folder / "zoo-000000.tar", files)


def in_parquet(folder: Path) -> Path:
    """As the library `datasets` writes what it has read from class folders: without the folders."""
    names = [name.rpartition("/")[2] for name in ZOO]
    rows = [{"image": {"bytes": data, "path": name}} for name, data in zip(names, ZOO.values(), strict=True)]
    labels = [CLASSES.index(name.partition("/")[0]) for name in ZOO]
    features = json.dumps({"info": {"features": {"label": {"names": CLASSES}}}})
    table = pa.Table.from_pylist(rows).append_column("label", pa.array(labels))
    folder.mkdir()
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": features}), folder / "zoo.parquet")
    return folder / "zoo.parquet"


def in_records(folder: Path) -> Path:
    examples = [
        image_sets.example(
            {"image/encoded": data, "image/filename": name.encode(), "image/class/synset": name.split("/")[0].encode()}
        )
        for name, data in ZOO.items()
    ]
    return image_sets.write(folder / "zoo-00000", b"".join(map(image_sets.record, examples)))


@pytest.mark.parametrize("write", [in_tar, in_webdataset, in_parquet, in_records])
def test_own_classes_are_the_same_data_set_in_every_container(write: Callable[[Path], Path], tmp_path: Path) -> None:
    folders, other = open_dataset(in_folders(tmp_path / "folders")), open_dataset(write(tmp_path / "other"))
    assert len(other) == len(ZOO)
    assert other.listing == folders.listing
    assert other.fingerprint == folders.fingerprint


def test_opening_reads_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(location: Location) -> bytes:
        raise AssertionError(location)

    monkeypatch.setattr(image_hashes, "read_image", refused)
    for container, write in image_sets.WRITERS.items():
        open_dataset(write(tmp_path / container, image_sets.samples()), partial=True)


@pytest.mark.parametrize("container", image_sets.WRITERS)
def test_hashes_are_those_of_the_bytes_whatever_order_they_are_asked_for_in(container: str, tmp_path: Path) -> None:
    dataset = open_dataset(image_sets.WRITERS[container](tmp_path / "set", image_sets.samples()), partial=True)
    expected = [image_hash(read_image(location)) for location in dataset.locations]
    for seed in range(3):
        ids = np.random.default_rng(seed).permutation(len(dataset))[: 10 + seed]
        found = dataset.hashes.of(ids)
        assert [row.tobytes() for row in found] == [expected[number] for number in ids]


def test_of_many_images_the_one_that_has_changed_is_found(tmp_path: Path) -> None:
    paths = [image_sets.write(tmp_path / str(number), str(number).encode()) for number in range(3000)]
    ids = np.arange(3000)
    kept = ImageHashes([Location("file", str(path), 0, 0) for path in paths]).of(ids)
    for number in (0, 1500, 2999):
        before = paths[number].read_bytes()
        paths[number].write_bytes(before + b"!")
        now = ImageHashes([Location("file", str(path), 0, 0) for path in paths])
        assert now.first_other(ids, kept) == number
        assert now.first_other(ids[ids != number], kept[ids != number]) is None
        paths[number].write_bytes(before)


def test_no_more_is_read_than_shows_that_images_are_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Location] = []

    def reading(location: Location) -> bytes:
        read.append(location)
        return b"x"

    monkeypatch.setattr(image_hashes, "read_image", reading)
    found = ImageHashes([Location("file", str(number), 0, 0) for number in range(50_000)])
    assert found.first_other(np.arange(50_000), np.zeros((50_000, HASH_BYTES), np.uint8)) == 0
    assert len(read) < 5000


def test_an_image_that_cannot_be_read_has_no_hash_of_any_bytes(tmp_path: Path) -> None:
    path = image_sets.write(tmp_path / "0.jpg", b"x")
    dataset = open_dataset(tmp_path, labels=image_sets.write(tmp_path / "labels.txt", b"0.jpg 7\n"))
    path.unlink()
    assert dataset.hashes.of(np.array([0])).tobytes() == UNREADABLE
    with pytest.raises(DatasetProblem):
        read_image(dataset.locations[0])


def test_a_row_group_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locations = [Location("row", "a.parquet", group, row) for group in range(5) for row in range(200)]
    parts = list(ImageHashes(locations)._parts(np.arange(1000)))
    assert [(part[0], len(part)) for part in parts] == [(200 * group, 200) for group in range(5)]

"""Several threads read images at once, from more files than a thread keeps open; each image gets its own bytes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from effconvert.validate.data.dataset import open_dataset
from effconvert.validate.data.image_bytes import opened, read_image
from effconvert.validate.data.locations import Location
from helpers import image_sets


def shards(folder: Path, count: int, each: int) -> dict[Location, bytes]:
    """Write `count` tar files of `each` members, all of one size, and return what is where."""
    found = {}
    for shard in range(count):
        contents = [f"{shard:04}-{place:04}".encode() * 500 for place in range(each)]
        path = image_sets.tar(
            folder / f"val-{shard:06}.tar", [(f"{place}.jpg", data) for place, data in enumerate(contents)]
        )
        file = path.read_bytes()
        for data in contents:
            found[Location("bytes", str(path), file.index(data), len(data))] = data
    return found


def test_sixteen_threads_read_a_hundred_shards_without_taking_one_for_another(tmp_path: Path) -> None:
    expected = shards(tmp_path, 100, 30)
    places = list(expected)
    order = [places[number] for number in np.random.default_rng(0).permutation(len(places))]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(read_image, order))
    wrong = [place for place, data in zip(order, found, strict=True) if data != expected[place]]
    assert not wrong


def test_eight_threads_read_the_rows_of_parquet_files(tmp_path: Path) -> None:
    images = image_sets.samples()
    dataset = open_dataset(image_sets.write_parquet(tmp_path, images), partial=True)
    by_name = {image.name: image.data for image in images}
    order = np.random.default_rng(0).permutation(np.tile(np.arange(len(dataset)), 50))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: read_image(dataset.locations[number]), order))
    assert all(data == by_name[dataset.names[number]] for number, data in zip(order, found, strict=True))


def test_a_thread_closes_what_it_opened_when_it_has_too_many_and_when_it_ends() -> None:
    closed: list[str] = []

    def read_all(paths: list[str]) -> int:
        for path in paths:
            opened(path, lambda path: SimpleNamespace(close=lambda: closed.append(path)))
        return len(closed)

    paths = [f"val-{number:06}.tar" for number in range(100)]
    with ThreadPoolExecutor(1) as pool:
        closed_before_the_end = pool.submit(read_all, paths).result()
        assert 100 > closed_before_the_end >= 100 - 16
        assert closed == paths[:closed_before_the_end]
    assert closed == paths

"""Every image is prepared once, in order, by any number of workers; a lost worker is an error, never a hang."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from effconvert.errors import DatasetProblem, LayoutMismatch
from effconvert.preprocessing.pipeline import pixels
from effconvert.preprocessing.recipes import official_recipe, recipe_for
from effconvert.validate.data.dataset import Dataset, open_dataset
from effconvert.validate.data.locations import Location
from effconvert.validate.evaluation import image_loader
from effconvert.validate.evaluation.image_loader import Clock, prepared_images
from effconvert.validate.evaluation.workers import Prepared
from helpers.image_sets import WRITERS, samples
from helpers.validate.evaluated import SIZE, is_running, wait_until, workers_of

TENSORFLOW, TIMM = official_recipe("b0").at(SIZE), recipe_for("timm", "b0").at(SIZE)


@pytest.fixture(scope="session")
def data(zoo: Path) -> Dataset:
    return open_dataset(zoo)


def prepared(dataset: Dataset, ids: Sequence[int], recipe: Any = TENSORFLOW, **options: Any) -> dict[int, np.ndarray]:
    """Return {id: pixels}, in the order in which they came."""
    found: dict[int, np.ndarray] = {}
    with prepared_images(dataset.locations, ids, recipe, **options) as chunks:
        for chunk in chunks:
            assert not chunk.failures
            for number, image in zip(chunk.ids.tolist(), chunk.pixels, strict=True):
                assert number not in found
                found[number] = image.copy()
    return found


@pytest.mark.parametrize(("workers", "chunk"), [(0, 16), (0, 4), (1, 4), (3, 1), (2, 16)])
@pytest.mark.parametrize("recipe", [TENSORFLOW, TIMM], ids=["float32", "uint8"])
def test_r10_each_image_comes_once_and_in_order(
    data: Dataset, monkeypatch: pytest.MonkeyPatch, workers: int, chunk: int, recipe: Any
) -> None:
    monkeypatch.setattr(image_loader, "_MOST_IMAGES", chunk)
    ids = np.random.default_rng(0).permutation(len(data))[:27].tolist()
    found = prepared(data, ids, recipe, workers=workers)
    assert list(found) == ids
    for number in ids:
        assert np.array_equal(found[number], pixels(Path(data.locations[number].path), recipe))


def test_no_image_needs_no_worker(data: Dataset) -> None:
    for workers in (0, 2):
        assert prepared(data, [], workers=workers) == {}


def test_there_are_never_more_workers_than_work(data: Dataset) -> None:
    with prepared_images(data.locations, range(16), TENSORFLOW, workers=9):
        assert len(workers_of(os.getpid())) == 1


@contextmanager
def _stand_ins(ring: np.ndarray, delays: Sequence[float]) -> Iterator[list[tuple[Any, Connection]]]:
    """Give stand-ins for workers, threads that write an image's id, each after a delay of its own."""

    def serve(connection: Connection, delay: float) -> None:
        with connection:
            while True:
                try:
                    slot, locations = connection.recv()
                except EOFError:
                    return
                time.sleep(delay)
                for place, location in enumerate(locations):
                    ring[slot, place] = location.start
                connection.send(Prepared([], bytes(16 * len(locations)), 0.0, 0.0))

    pairs = [Pipe() for _ in delays]
    threads = [
        threading.Thread(target=serve, args=(there, delay)) for (_, there), delay in zip(pairs, delays, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        yield [(None, here) for here, _ in pairs]
    finally:
        for here, _ in pairs:
            here.close()
        for thread in threads:
            thread.join()


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from([0.0, 0.0002, 0.002]), min_size=1, max_size=4),
    st.integers(1, 7),
    st.integers(0, 30),
    st.integers(1, 3),
)
def test_memory_is_shared_out_without_a_deadlock_or_a_mix_up(
    delays: list[float], slots: int, images: int, chunk: int
) -> None:
    ring = np.zeros((slots, chunk), np.int64)
    locations = [Location("file", "", number + 1, 0) for number in range(images)]
    parts = [np.arange(start, min(start + chunk, images)) for start in range(0, images, chunk)]
    with _stand_ins(ring, delays) as pool:
        seen: list[int] = []
        for one in image_loader._prepared_by(
            image_loader._Pool(pool, parts, locations, np.zeros(slots, np.int32)), ring, Clock()
        ):
            time.sleep(0.0005)  # a network at work, while the others go on
            assert one.pixels.tolist() == (one.ids + 1).tolist()
            seen += one.ids.tolist()
    assert seen == list(range(images))


@pytest.mark.parametrize("workers", [0, 2])
def test_images_that_cannot_be_read_are_reported_by_their_ids(data: Dataset, workers: int, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "cut.jpg").write_bytes(Path(data.locations[2].path).read_bytes()[:300])
    broken = {2: tmp_path / "cut.jpg", 5: tmp_path / "text.jpg", 19: tmp_path / "gone.jpg", 20: tmp_path}
    locations = [
        location._replace(path=str(broken.get(number, location.path))) for number, location in enumerate(data.locations)
    ]
    failures: dict[int, str] = {}
    with prepared_images(locations, range(30), TENSORFLOW, workers=workers) as chunks:
        for chunk in chunks:
            failures |= chunk.failures
            for number, image in zip(chunk.ids.tolist(), chunk.pixels, strict=True):
                assert image.any() == (number not in broken)
    assert failures.keys() == broken.keys()
    assert "gone.jpg: cannot be read: No such file" in failures[19]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_recipe_that_nobody_knows_is_refused(data: Dataset, workers: int) -> None:
    with pytest.raises(LayoutMismatch, match="decode='caffe' is unknown"):
        prepared(data, [0], dataclasses.replace(TENSORFLOW, decode="caffe"), workers=workers)
    assert workers_of(os.getpid()) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_dies_is_an_error_that_says_where(
    data: Dataset, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    monkeypatch.setattr(image_loader, "_MOST_IMAGES", 1)
    words = rf"\.\w+: the process that prepared this image was ended by signal {int(how)}"
    with (
        pytest.raises(DatasetProblem, match=words),
        prepared_images(data.locations, range(30), TENSORFLOW, workers=2) as chunks,
    ):
        for chunk in chunks:
            if chunk.ids[0] == 4:
                workers = workers_of(os.getpid())
                os.kill(workers[0], how)
                wait_until(lambda: not is_running(workers[0]))  # noqa: B023
    assert workers_of(os.getpid()) == []


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="this system does not tell whether a process was stopped")
def test_a_worker_that_is_stopped_is_an_error_that_says_where(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_loader, "_MOST_IMAGES", 1)
    monkeypatch.setattr(image_loader, "_PATIENCE", 0.2)
    with (
        pytest.raises(
            DatasetProblem, match=r"\.\w+: the process that prepared this image was stopped by a signal"
        ) as caught,
        prepared_images(data.locations, range(30), TENSORFLOW, workers=1) as chunks,
    ):
        for chunk in chunks:
            if chunk.ids[0] == 4:
                os.kill(workers_of(os.getpid())[0], signal.SIGSTOP)
    assert caught.value.exit_code == 7
    assert workers_of(os.getpid()) == []


def test_leaving_early_leaves_no_worker(data: Dataset) -> None:
    with prepared_images(data.locations, range(30), TENSORFLOW, workers=2) as chunks:
        next(chunks)
        assert len(workers_of(os.getpid())) == 2
    assert workers_of(os.getpid()) == []


def test_workers_end_when_their_parent_is_killed(zoo: Path) -> None:
    code = (
        "import sys, time\n"
        "from effconvert.validate.data.dataset import open_dataset\n"
        "from effconvert.validate.evaluation.image_loader import prepared_images\n"
        "from effconvert.preprocessing.recipes import official_recipe\n"
        "data = open_dataset(sys.argv[1])\n"
        "with prepared_images(data.locations, range(30), official_recipe('b0'), workers=2) as chunks:\n"
        "    next(chunks)\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(zoo)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    assert parent.stdout.readline() == "begun\n"
    workers = workers_of(parent.pid)
    assert len(workers) == 2
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not any(map(is_running, workers)), 10)


@pytest.mark.parametrize("pipeline", ["exact", "fast"])
def test_no_worker_has_torch_in_it(pipeline: str, tmp_path: Path) -> None:
    """Of any container: a worker's memory holds no library of torch's."""
    locations = [
        location
        for name, write in WRITERS.items()
        for location in open_dataset(write(tmp_path / name, samples((1, 65), 1)), partial=True).locations
    ]
    with prepared_images(locations, range(len(locations)), TIMM, pipeline=pipeline, workers=1) as chunks:
        assert not any(chunk.failures for chunk in chunks)
        (worker,) = workers_of(os.getpid())
        memory = Path(f"/proc/{worker}/maps").read_text()
    assert "simplejpeg" in memory
    assert "torch" not in memory
    assert "torch" in Path("/proc/self/maps").read_text()


def test_the_time_that_preparing_takes_is_counted(data: Dataset) -> None:
    for workers in (0, 1):
        clock = Clock()
        prepared(data, range(30), workers=workers, clock=clock)
        assert clock.images == 30
        assert clock.preparing > 0
        assert clock.reading > 0
        assert (clock.waiting > 0) == (workers > 0)

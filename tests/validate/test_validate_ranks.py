"""Processes that torchrun starts share the images; the counts do not depend on the number of processes."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from effconvert.errors import DatasetProblem, OutputProblem
from effconvert.validate.data.dataset import open_dataset
from effconvert.validate.evaluation.jobs import Settings
from effconvert.validate.evaluation.journal import read_journal
from effconvert.validate.evaluation.measuring import measure_files
from effconvert.validate.evaluation.ranks import FailedElsewhere, Ranks, joined
from helpers.deep import deep_but
from helpers.validate.evaluated import (
    SIZE,
    descendants,
    finished,
    is_running,
    same_answers,
    start,
    wait_until,
    write_zoo,
)

IMAGES = 400  # enough that three ranks can be killed on the way, and no multiple of three
RUN = "zoo-net.npz"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zoo(tmp_path_factory.mktemp("data") / "zoo", IMAGES)


@pytest.fixture(scope="module")
def alone(data: Path, zoo_network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process that torchrun did not start; do not change it."""
    folder = tmp_path_factory.mktemp("alone")
    (run,) = measure_files([zoo_network], data, size=SIZE, out=folder, settings=Settings(workers=1))
    return run.out


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command on some ranks; what is left of it in the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(ranks: int, *given: object) -> subprocess.Popen[str]:
        started.append(start(*given, ranks=ranks))
        return started[-1]

    yield begin
    for process in started:
        for pid in (process.pid, *descendants(process.pid)):
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


def arguments(data: Path, network: Path, runs: Path) -> list[object]:
    return ["--data", data, network, "--size", SIZE, "--workers", 1, "--runs", runs]


@pytest.mark.parametrize("ranks", deep_but([1, 2, 3], lambda ranks: ranks == 2))
def test_r10_hits_do_not_depend_on_how_many_share_the_images(
    begin: Callable[..., subprocess.Popen[str]],
    data: Path,
    zoo_network: Path,
    alone: Path,
    tmp_path: Path,
    ranks: int,
) -> None:
    code, out, err = finished(begin(ranks, *arguments(data, zoo_network, tmp_path)))
    assert (code, err) == (0, "")
    assert out.count("top-1  ") == 1
    found = same_answers(tmp_path / RUN, alone)
    assert found.ids.tolist() == list(range(IMAGES))
    assert found.record["run"]["ranks"] == ranks
    assert found.record["dataset"]["evaluated"] == IMAGES
    assert [path.name for path in tmp_path.iterdir()] == [RUN]


@pytest.mark.deep
def test_two_ranks_go_on_with_what_three_have_left(
    begin: Callable[..., subprocess.Popen[str]], data: Path, zoo_network: Path, alone: Path, tmp_path: Path
) -> None:
    process = begin(3, *arguments(data, zoo_network, tmp_path))
    journals = [tmp_path / f"{RUN}.part-{rank}" for rank in range(3)]
    wait_until(lambda: all(path.exists() and len(read_journal(path)[1]) for path in journals))
    for pid in (process.pid, *descendants(process.pid)):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / RUN).exists()
    code, _, err = finished(begin(2, *arguments(data, zoo_network, tmp_path), "--resume"))
    assert (code, err) == (0, "")
    assert same_answers(tmp_path / RUN, alone).ids.tolist() == list(range(IMAGES))
    assert [path.name for path in tmp_path.iterdir()] == [RUN]


def test_an_error_on_one_rank_ends_all_with_one_message(
    begin: Callable[..., subprocess.Popen[str]], data: Path, zoo_network: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(data, tmp_path / data.name))
    broken = open_dataset(own).locations[1]  # of the second rank
    Path(broken.path).write_bytes(b"no image")
    process = begin(2, *arguments(own, zoo_network, tmp_path / "runs"))
    code, _, err = finished(process)
    assert code != 0
    said, _, after = err.partition("Traceback")  # torchrun's own, of a process that failed
    assert said.count("effconvert: ") == 1
    assert f"{own}: images that cannot be read (--resume --skip-broken continues without them" in said
    assert f"{Path(broken.path).name}: " in said
    assert "Traceback" not in after
    assert "ChildFailedError" in after
    assert sum(len(read_journal(path)[1]) for path in (tmp_path / "runs").glob("*.part-*")) > 0


def test_what_is_wrong_everywhere_is_said_once(
    begin: Callable[..., subprocess.Popen[str]], data: Path, tmp_path: Path
) -> None:
    code, _, err = finished(begin(2, *arguments(data, tmp_path / "no-such-file.safetensors", tmp_path)))
    assert code != 0
    assert err.count("no-such-file.safetensors: no such file or directory") == 1


def test_r10_ranks_share_every_image_once() -> None:
    for images in (23, 50_000):
        for count in range(1, 6):
            shares = [number for rank in range(count) for number in Ranks(rank, count).share(range(images))]
            assert sorted(shares) == list(range(images))


def test_a_rank_alone_raises_its_own_error() -> None:
    def work() -> None:
        raise DatasetProblem("broken")

    with pytest.raises(DatasetProblem, match="broken"):
        Ranks().agree(work)


def test_the_first_rank_that_failed_says_why_and_the_others_end_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [None, DatasetProblem("broken"), OutputProblem("full")]
    monkeypatch.setattr(Ranks, "gather", lambda self, value: failures)
    for rank, kind in enumerate((FailedElsewhere, DatasetProblem, FailedElsewhere)):
        with pytest.raises(kind) as caught:
            Ranks(rank, 3).agree(lambda: None)
        assert caught.value.exit_code == DatasetProblem.exit_code


def test_a_process_that_torchrun_did_not_start_is_alone() -> None:
    with joined() as ranks:
        assert ranks == Ranks(0, 1)

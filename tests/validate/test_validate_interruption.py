"""After any interruption, `effconvert validate --resume` gives the numbers of an uninterrupted run."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effconvert.options import Options
from effconvert.validate.data.dataset import open_dataset
from effconvert.validate.evaluation.jobs import Settings
from effconvert.validate.evaluation.journal import ANSWER, begin_journal, read_journal
from effconvert.validate.evaluation.measuring import measure_files
from effconvert.validate.predictions import read_predictions
from helpers.deep import deep_but
from helpers.running import Ran
from helpers.validate.evaluated import (
    SIZE,
    finished,
    is_running,
    same_answers,
    start,
    wait_until,
    workers_of,
    write_zoo,
)

IMAGES = 800
RUN = "zoo-net.npz"
INTERRUPTED = "effconvert: interrupted; all results so far are kept, and --resume continues from there\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many images as ten interruptions need; do not change it."""
    return write_zoo(tmp_path_factory.mktemp("data") / "zoo", IMAGES)


@pytest.fixture(scope="module")
def undisturbed(data: Path, zoo_network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run; do not change it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (run,) = measure_files([zoo_network], data, size=SIZE, out=folder, settings=Settings(workers=1))
    return run.out


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command; what is left of it in the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*given: Any) -> subprocess.Popen[str]:
        started.append(start(*given))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def arguments(data: Path, network: Path, runs: Path) -> list[Any]:
    return ["--data", data, network, "--size", SIZE, "--workers", 1, "--runs", runs]


def answered(runs: Path) -> int:
    """Return the number of answers in the journals of an unfinished run."""
    return sum(len(read_journal(path)[1]) for path in runs.glob(f"{RUN}.part-*"))


def grown(runs: Path, count: int) -> Callable[[], bool]:
    """Return a question: is there a journal, and does it hold `count` answers?"""
    return lambda: (runs / f"{RUN}.part-0").exists() and answered(runs) >= count


@pytest.mark.parametrize("kills", deep_but([4, 10], lambda kills: kills == 4))
def test_killed_at_several_moments_it_comes_to_the_same(
    begin: Callable[..., subprocess.Popen[str]],
    run: Callable[..., Ran],
    data: Path,
    zoo_network: Path,
    undisturbed: Path,
    tmp_path: Path,
    kills: int,
) -> None:
    moments = random.Random(7)
    counts = [0]
    for _ in range(kills):
        process = begin(*arguments(data, zoo_network, tmp_path), "--quiet", "--resume")
        wait_until(grown(tmp_path, counts[-1] + moments.choice([0, 1, 1, 17])))
        workers = workers_of(process.pid)
        time.sleep(moments.uniform(0, 0.01))
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        wait_until(lambda: not any(map(is_running, workers)), 10)  # noqa: B023
        counts.append(answered(tmp_path))
    assert counts == sorted(counts)
    assert len(set(counts)) > kills // 2
    assert counts[-1] < IMAGES
    ran = run("validate", *arguments(data, zoo_network, tmp_path), "--quiet", "--resume")
    assert (ran.exit_code, ran.err) == (0, "")
    found = same_answers(tmp_path / RUN, undisturbed)
    assert found.ids.tolist() == list(range(IMAGES))
    assert [path.name for path in tmp_path.iterdir()] == [RUN]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_how_to_go_on_and_keeps_what_was_answered(
    begin: Callable[..., subprocess.Popen[str]], data: Path, zoo_network: Path, tmp_path: Path, how: signal.Signals
) -> None:
    process = begin(*arguments(data, zoo_network, tmp_path))
    wait_until(grown(tmp_path, 1))
    workers = workers_of(process.pid)
    os.killpg(process.pid, how)
    code, _, err = finished(process)
    assert code == 128 + how
    assert err == ("" if how == signal.SIGTERM else INTERRUPTED)
    assert not any(map(is_running, workers))
    assert 0 < answered(tmp_path) < IMAGES
    assert not (tmp_path / RUN).exists()


def test_interrupted_while_workers_start_no_traceback_is_seen(
    begin: Callable[..., subprocess.Popen[str]], data: Path, zoo_network: Path, tmp_path: Path
) -> None:
    process = begin(*arguments(data, zoo_network, tmp_path), "--workers", 3)
    wait_until(lambda: len(workers_of(process.pid)) == 3)
    workers = workers_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    code, _, err = finished(process)
    assert (code, err) == (130, INTERRUPTED)
    assert not any(map(is_running, workers))


def test_what_was_answered_is_not_computed_again(
    begin: Callable[..., subprocess.Popen[str]],
    run: Callable[..., Ran],
    data: Path,
    zoo_network: Path,
    undisturbed: Path,
    tmp_path: Path,
) -> None:
    process = begin(*arguments(data, zoo_network, tmp_path))
    wait_until(grown(tmp_path, 1))
    process.kill()
    process.wait()
    had = read_journal(tmp_path / f"{RUN}.part-0")[1]
    refused = run("validate", *arguments(data, zoo_network, tmp_path))
    assert refused.exit_code == 8
    assert "this run is unfinished; --resume continues it, --force starts it again" in refused.err
    assert answered(tmp_path) == len(had)
    ran = run("validate", *arguments(data, zoo_network, tmp_path), "--resume")
    assert ran.exit_code == 0
    assert f"; {len(had)} of {IMAGES} results are from an earlier run" in " ".join(ran.out.split())
    same_answers(tmp_path / RUN, undisturbed)


def test_a_journal_of_images_that_have_changed_is_not_gone_on_with(
    begin: Callable[..., subprocess.Popen[str]], run: Callable[..., Ran], data: Path, zoo_network: Path, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(data, tmp_path / data.name))
    process = begin(*arguments(own, zoo_network, tmp_path))
    wait_until(grown(tmp_path, 1))
    process.kill()
    process.wait()
    journal = tmp_path / f"{RUN}.part-0"
    had = journal.read_bytes()
    number = int(read_journal(journal)[1]["id"][-1])
    changed = Path(open_dataset(own).locations[number].path)
    changed.write_bytes(changed.read_bytes() + b"!")
    ran = run("validate", *arguments(own, zoo_network, tmp_path), "--resume")
    assert ran.exit_code == 0, ran.err
    assert f"{RUN} is another run: other images ({changed.name} has other bytes)" in ran.out
    assert "results are from an earlier run" not in ran.out
    assert journal.read_bytes() == had
    assert not (tmp_path / RUN).exists()
    assert len(read_predictions(tmp_path / "zoo-net-2.npz")) == IMAGES


def test_a_run_that_was_killed_before_it_had_tidied_up_is_finished_by_resuming(
    run: Callable[..., Ran], data: Path, zoo_network: Path, undisturbed: Path, tmp_path: Path
) -> None:
    shutil.copy(undisturbed, tmp_path / RUN)
    found = read_predictions(undisturbed)
    begin_journal(tmp_path / f"{RUN}.part-0", found.record["settings"], np.zeros(0, ANSWER))
    assert run("validate", *arguments(data, zoo_network, tmp_path), "--resume", "--quiet").exit_code == 0
    same_answers(tmp_path / RUN, undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == [RUN]


def test_networks_that_came_to_different_points_share_what_is_left(
    run: Callable[..., Ran], data: Path, zoo_network: Path, undisturbed: Path, tmp_path: Path
) -> None:
    second = Path(shutil.copy(zoo_network, tmp_path / "second.safetensors"))
    whole = read_predictions(undisturbed)
    answers = np.zeros(IMAGES, ANSWER)
    for name in ("top5", "label_logit", "margin", "confidence"):
        answers[name] = getattr(whole, name)
    answers["id"], answers["hash"] = whole.ids, whole.hashes
    runs = tmp_path / "runs"
    runs.mkdir()
    begin_journal(runs / f"{RUN}.part-0", whole.record["settings"], answers[: IMAGES - 10])
    begin_journal(runs / "second.npz.part-0", whole.record["settings"], answers[np.arange(IMAGES) % 100 > 3])
    common = ["--data", data, "--size", SIZE, "--workers", 0, "--runs", runs, "--resume", "--quiet"]
    assert run("validate", zoo_network, second, *common).exit_code == 0
    for name in (RUN, "second.npz"):
        assert same_answers(runs / name, undisturbed).ids.tolist() == list(range(IMAGES))


def test_the_raw_weights_of_a_file_are_another_run_than_their_averages(b0: Path, zoo: Path, tmp_path: Path) -> None:
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join([*sorted(entry.name for entry in zoo.iterdir()), *map(str, range(994))]))
    common: dict[str, Any] = {"size": SIZE, "out": tmp_path / "runs", "classes": classes, "limit": 6}
    (averages,) = measure_files([b0], zoo, **common, settings=Settings(workers=0))
    (raw,) = measure_files([b0], zoo, **common, options=Options(raw=True), settings=Settings(workers=0, resume=True))
    assert (averages.out.name, raw.out.name) == (f"{b0.name}.npz", f"{b0.name}-2.npz")
    assert raw.predictions.record["model"]["taken"] == "raw"
    assert np.abs(raw.predictions.label_logit - averages.predictions.label_logit).max() > 1e-3

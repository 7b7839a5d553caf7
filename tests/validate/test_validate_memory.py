"""The memory of an evaluation, all its processes together, is bounded."""

import os
import signal
from pathlib import Path

import pytest

from effconvert.validate.evaluation.journal import read_journal
from helpers.pictures import picture, saved
from helpers.validate.asked_files import seeing, written
from helpers.validate.evaluated import CLASSES, descendants, start, wait_until

WORKERS, BATCH, IMAGES = 16, 256, 640  # more images than the workers' shared memory holds
MOST = 2_000_000_000


def proportional_bytes(pid: int) -> int:
    """Return a process's resident memory, of what it shares its part; 0 when it has gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@pytest.mark.deep
def test_b0_with_sixteen_workers_stays_below_2_gb(tmp_path: Path) -> None:
    files = [saved(picture(375, 500, seed), quality=90) for seed in range(6)]
    for number in range(IMAGES):
        path = tmp_path / "data" / CLASSES[number % 6] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[number % 6])
    network = written(seeing("b0", classes=6), tmp_path / "b0.safetensors")
    common = ["--data", tmp_path / "data", "--workers", WORKERS, "--batch-size", BATCH, "--runs", tmp_path / "runs"]
    process = start(network, *common, "--quiet")
    journal = tmp_path / "runs" / "b0.npz.part-0"
    seen: list[tuple[int, int]] = []

    def far_enough() -> bool:
        """Measure, and say whether every part of the shared memory has been used."""
        everyone = [process.pid, *descendants(process.pid)]
        seen.append((sum(map(proportional_bytes, everyone)), len(everyone)))
        assert process.poll() is None
        return journal.exists() and len(read_journal(journal)[1]) >= 48

    try:
        wait_until(far_enough, 120)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert max(processes for _, processes in seen) == 1 + WORKERS
    assert 500_000_000 < max(memory for memory, _ in seen) < MOST

"""S4, S5: what reading takes follows from the size of a file, for all that the file derives, in every reader."""

import subprocess
import sys
from pathlib import Path

import pytest

from effconvert.budget import MEMORY, STEPS, Budget, guarded
from effconvert.errors import DatasetProblem, UnreadableCheckpoint
from effconvert.formats.signatures import Format, format_of
from helpers import bombs

ALL = [
    *((bomb, "formats.open_checkpoint") for found in bombs.CHECKPOINTS.values() for bomb in found),
    *((bomb, "verification.runs.open_run") for bomb in bombs.RUNS),
    *((bomb, "report.given_files.read_inputs") for bomb in bombs.REPORTED),
    *((bomb, "validate.data.label_files.read_label_file") for bomb in bombs.LABELS),
    *((bomb, "validate.data.classes.read_classes") for bomb in bombs.CLASSES),
]
# Opens a file in a process that may take 256 MB beside the file, and ten seconds of the processor.
OPENING = """
import os, resource, sys
from importlib import import_module
from pathlib import Path
path, reader = sys.argv[1:]
module, _, name = reader.rpartition(".")
opener = getattr(import_module(f"effconvert.{module}"), name)
import effconvert.formats.archive, effconvert.formats.compressed, effconvert.formats.foreign.files
import effconvert.formats.keras.file, effconvert.formats.mindspore.file, effconvert.formats.sharded
import effconvert.formats.tensorflow.bundle, effconvert.formats.torch.file, jsonschema, cramjam
from effconvert.errors import EffconvertError
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
allowed = taken + os.path.getsize(path) + (256 << 20)
resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
resource.setrlimit(resource.RLIMIT_CPU, (int(sum(os.times()[:2])) + 10, 60))
try:
    found = opener([path] if name == "read_inputs" else Path(path))
    if name == "open_run":
        found.__enter__()
except EffconvertError as error:
    print(error.exit_code, error)
"""


def test_s4_every_format_has_a_bomb() -> None:
    assert bombs.CHECKPOINTS.keys() == set(Format)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is read from /proc")
@pytest.mark.parametrize(("bomb", "reader"), ALL, ids=[bomb.__name__ for bomb, _ in ALL])
def test_s4_a_small_file_that_asks_for_gigabytes_or_minutes_is_refused(
    tmp_path: Path, bomb: bombs.Bomb, reader: str
) -> None:
    path = bomb(tmp_path)
    assert path.stat().st_size < 10 << 20
    if "open_checkpoint" in reader:
        assert (found := format_of(path))
        assert bomb in bombs.CHECKPOINTS[found]
    ended = subprocess.run([sys.executable, "-c", OPENING, str(path), reader], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"{7 if 'validate.data' in reader else 3} {path}")
    assert "does not fit into the memory" not in ended.stdout  # counted before, not found by the net


def test_a_budget_follows_from_the_size_of_the_file() -> None:
    budget = Budget("x", 1000)
    budget.draw(1000)
    budget.draw(MEMORY)
    with pytest.raises(UnreadableCheckpoint, match="x: its names would take more than 128 MB of memory beside the 1,0"):
        budget.draw(1, "its names")
    budget.step(STEPS)
    with pytest.raises(UnreadableCheckpoint, match="x: needs far more work to read than any file of 1,000 bytes"):
        budget.step(1000 // 64 + 1)


def test_what_is_given_back_is_not_drawn() -> None:
    budget = Budget("x", 0, DatasetProblem)
    for _ in range(3):
        budget.require(MEMORY, "an array")
    with pytest.raises(DatasetProblem, match="x: an array would take"):
        budget.require(MEMORY + 1, "an array")


@pytest.mark.parametrize(
    ("raised", "words"), [(MemoryError, "fit into the memory"), (RecursionError, "nested too deep")]
)
@pytest.mark.parametrize("kind", [UnreadableCheckpoint, DatasetProblem])
def test_the_end_of_memory_or_of_the_stack_is_said_in_words(raised: type, words: str, kind: type) -> None:
    with pytest.raises(kind, match=f"^x: .*{words}"), guarded("x", kind):
        raise raised

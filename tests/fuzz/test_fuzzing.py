"""S6: every parser reads or refuses what it is given, in words, within the memory and the time of its budget."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from effconvert.errors import UnreadableCheckpoint
from helpers.fuzzing import corpus
from helpers.fuzzing.__main__ import fuzz
from helpers.fuzzing.bundles import mended, mutate_bundle
from helpers.fuzzing.execution import SECONDS, Tally, limited_memory
from helpers.fuzzing.mutation import changes
from helpers.fuzzing.target import Target, joined, parted, remove_own_folder
from helpers.fuzzing.targets import TARGETS
from helpers.fuzzing.tensorflow_targets import bundle_seeds, read_bundle
from helpers.places import TESTS

MUTATIONS = 300
SECONDS_OF_DEEP = 20.0


@pytest.fixture(autouse=True, scope="module")
def _no_folder_is_left() -> Iterator[None]:
    yield
    remove_own_folder()


def ran(target: Target, inputs: list[bytes], slow: float = 5 * SECONDS) -> Tally:
    """Return what became of inputs. A machine that does other work as well is given more time than is promised."""
    for content in target.seeds():  # first, since what is imported then is no memory of an input
        Tally(target).run(content)
    tally = Tally(target, slow=slow)
    with limited_memory():
        for content in inputs:
            tally.run(content)
    return tally


@pytest.mark.parametrize("name", TARGETS)
def test_s6_seeds_and_the_saved_corpus_are_read_or_refused_in_words(name: str) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    tally = ran(target, seeds)
    assert not tally.faults
    assert tally.accepted or name in ("other_files", "data_pattern")
    assert not ran(target, corpus.load(target)).faults


@pytest.mark.parametrize("name", TARGETS)
def test_s6_some_hundred_seeded_mutations_are_read_or_refused_in_words(name: str) -> None:
    target = TARGETS[name]
    chosen = random.Random(6)
    starts = [*target.seeds(), *corpus.load(target)]
    change = changes(starts, chosen)
    tally = ran(target, [target.changed(chosen.choice(starts), change, chosen) for _ in range(MUTATIONS)])
    assert not tally.faults
    assert tally.accepted < MUTATIONS or name in ("sidecar", "download_notes")


@pytest.mark.deep
@pytest.mark.parametrize("name", TARGETS)
def test_s6_twenty_seconds_of_fuzzing_find_nothing(name: str, tmp_path: Path) -> None:
    found = fuzz(name, SECONDS_OF_DEEP, 1 << 60, seed=1, folder=tmp_path)
    print(f"{name}: {found['executions']:,} executions, engine {found['engine']}")
    assert not found["faults"]
    assert found["executions"] > 100


def test_every_target_has_a_saved_corpus_and_all_are_small() -> None:
    saved = {path.stem: path.stat().st_size for path in corpus.SAVED.glob("*.zip")}
    assert saved.keys() == TARGETS.keys()
    assert sum(saved.values()) < 1_000_000


def test_a_fault_is_counted_by_what_was_raised_and_its_input_is_kept(tmp_path: Path) -> None:
    def read(content: bytes) -> None:
        if content.startswith(b"bad"):
            raise KeyError(f"no {content!r}")
        raise UnreadableCheckpoint("refused")

    tally = Tally(Target("t", read, lambda: [b""]), tmp_path)
    for content in (b"bad 1", b"bad 2", b"good"):
        tally.run(content)
    assert tally.executions == 3
    assert list(tally.faults.values()) == [2]
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"bad 1"]


def test_what_only_the_end_of_memory_stopped_is_a_fault() -> None:
    def read(content: bytes) -> None:
        raise UnreadableCheckpoint("x: does not fit into the memory of this machine")

    tally = ran(Target("t", read, lambda: [b""]), [b""])
    (kind,) = tally.faults
    assert kind.startswith("memory ended: ")


def test_without_atheris_the_same_targets_are_run_and_it_is_said(tmp_path: Path) -> None:
    """A module of that name that cannot be imported stands in its place."""
    (tmp_path / "atheris.py").write_text("raise ImportError\n")
    command = [
        sys.executable,
        "-m",
        "helpers.fuzzing.process",
        "protobuf",
        str(tmp_path / "r.json"),
        str(tmp_path),
        str(tmp_path / "f"),
    ]
    ended = subprocess.run(
        [*command, "30", "500", "1"],
        cwd=TESTS,
        env={"PYTHONPATH": f"{tmp_path}:{TESTS}"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "r.json").read_text())
    assert (found["engine"], found["executions"], found["faults"]) == ("seeded", 500, {})


def test_most_mutated_bundles_are_read_or_refused_behind_their_checksums() -> None:
    """Else only the checksums would be tried."""
    chosen = random.Random(3)
    seeds = bundle_seeds()
    change = changes(seeds, chosen)
    read = at_checksums = behind = 0
    for _ in range(600):
        content = mutate_bundle(chosen.choice(seeds), change, chosen)
        try:
            read_bundle(content)
            read += 1
        except UnreadableCheckpoint as error:
            at_checksums += "CRC32C" in str(error)
            behind += "CRC32C" not in str(error)
    assert read > 60
    assert behind > 200
    assert at_checksums < 120


def test_a_sound_bundle_has_nothing_to_mend() -> None:
    for content in bundle_seeds():
        index, data = parted(content, 2)
        assert mended(index, data) == (index, data)


def test_a_flipped_bit_behind_a_mended_checksum_is_read_as_another_tensor() -> None:
    index, data = parted(bundle_seeds()[0], 2)
    flipped = bytes([data[0] ^ 1]) + data[1:]
    with pytest.raises(UnreadableCheckpoint, match="CRC32C"):
        read_bundle(joined(index, flipped))
    read_bundle(joined(*mended(index, flipped)))

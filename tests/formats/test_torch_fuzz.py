"""Files of both forms with one bit flipped, or cut off: what is still read is what was written, bit for bit."""

import argparse
import random
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given

from effconvert.errors import UnreadableCheckpoint
from helpers.formats.building import examples, flip, peak_memory, read_all
from helpers.formats.mutations import Mutation, mutated, mutations
from helpers.formats.pickles import state_dict, tensor, write_legacy

FLIPS = 2000
TRUNCATIONS = 200
FRONT, BACK = 64 << 10, 4 << 10
MEMORY = 8 << 20

Bits = tuple[object, tuple[int, ...], bytes]


@pytest.fixture(params=[True, False], ids=["zip", "before 1.6"])
def training_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A small network's training file."""
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Linear(8, 10))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model(torch.ones(1, 3, 4, 10))[0].sum().backward()
    optimizer.step()
    content = {
        "epoch": 3,
        "args": argparse.Namespace(model="b0", lr=0.1),
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "large": torch.arange(2_000),
    }
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=request.param)
    return tmp_path / "x.pth"


def read_or_refused(path: Path) -> dict[str, Bits] | None:
    try:
        return read_all(path)
    except UnreadableCheckpoint:
        return None


def bits_near_the_ends(size: int, seed: int) -> list[int]:
    """Return bits of the first 64 kB and the last 4 kB of a file of `size` bytes."""
    places = [*range(min(FRONT, size)), *range(max(0, size - BACK), size)]
    generator = random.Random(seed)
    return [8 * generator.choice(places) + generator.randrange(8) for _ in range(FLIPS)]


def test_s5_a_flipped_bit_is_refused_or_changes_nothing_that_a_checksum_covers(training_file: Path) -> None:
    """The older form has none: there a flip may change a number, or a name or a shape in the pickle."""
    content, original = training_file.read_bytes(), read_all(training_file)
    zipped = content.startswith(b"PK")
    numbers = content.index(original["large"][2]) - 8
    refused = 0
    for bit in bits_near_the_ends(len(content), 11):
        training_file.write_bytes(flip(content, bit))
        found = read_or_refused(training_file)
        refused += found is None
        if zipped:
            assert found in (None, original)
        elif found is not None and bit >= 8 * numbers:
            assert found.keys() == original.keys()
            assert sum(found[name] != original[name] for name in original) == 1
    assert refused > 50


def test_s5_a_truncation_is_refused(training_file: Path) -> None:
    content = training_file.read_bytes()
    for length in random.Random(12).sample(range(len(content)), TRUNCATIONS):
        training_file.write_bytes(content[:length])
        assert read_or_refused(training_file) is None


@examples(250)
@given(steps=mutations)
def test_a_mutated_file_of_the_older_form_is_refused_or_read_within_8_mb(tmp_path: Path, steps: list[Mutation]) -> None:
    path = write_legacy(tmp_path / "x", state_dict(tensor()))
    path.write_bytes(mutated(path.read_bytes(), steps))

    def read() -> None:
        with suppress(UnreadableCheckpoint):
            read_all(path)

    assert peak_memory(read) < MEMORY

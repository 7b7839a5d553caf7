"""Many objects, names and calls in a pickle take little memory, or are refused."""

from pathlib import Path

import pytest

from effconvert.budget import MEMORY
from effconvert.formats import open_checkpoint
from helpers.formats.building import peak_memory, read_all, refusal
from helpers.formats.pickles import found, integer, state_dict, tensor, text, write

THING = found("some.module", "Thing")
MANY = {
    "objects": (b"(" + b"".join(integer(number) + THING + b")\x81" for number in range(20_000)) + b"u", 64),
    "names": (
        b"(" + b"".join(integer(number) + found(f"m{number}", "x" * 90) for number in range(20_000)) + b"u", 64
    ),
    "states": (text("y") + THING + b")\x81" + b"Nb}b" * 20_000 + b"s", 32),
    "calls of calls": (text("y") + THING + b")R" * 50_000 + b"s", 256),
    "entries": (text("y") + THING + b")\x81" + b"(" + b"K\x01N" * 40_000 + b"us", 64),
    "references": (text("y") + b"](" + (THING + b"]q\x00\x85R") + b"h\x00" * 50_000 + b"es", 64),
}  # fmt: skip


@pytest.mark.parametrize(("behind", "megabytes"), MANY.values(), ids=MANY.keys())
def test_many_objects_take_little(tmp_path: Path, behind: bytes, megabytes: int) -> None:
    path = write(tmp_path / "x.pth", state_dict(tensor(), behind=behind))

    def read() -> None:
        with open_checkpoint(path) as checkpoint:
            assert [*checkpoint.tensors] == ["x"]
            assert len(checkpoint.skipped) <= 1002

    assert peak_memory(read) < megabytes << 20


def test_names_below_a_long_name_are_bounded(tmp_path: Path) -> None:
    many = b"](" + tensor() + b"q\x00" + b"h\x00" * 40_000 + b"e"
    path = write(tmp_path / "x.pth", state_dict(many, name=text("x" * 4000)))
    assert "its names would take more than 128 MB of memory" in refusal(path)


def test_a_file_with_many_names_keeps_no_more_than_its_budget(tmp_path: Path) -> None:
    names = b"".join(found(f"m{number}", "x" * 180) + b"0" for number in range(100_000))
    path = write(tmp_path / "x.pth", state_dict(tensor(), behind=names))
    assert peak_memory(lambda: read_all(path)) < path.stat().st_size + MEMORY


def test_a_function_of_ours_takes_no_more_arguments_than_any_has(tmp_path: Path) -> None:
    call = found("torch._utils", "_rebuild_parameter") + b"(" + b"N" * 200_000 + b"tR"
    assert "with 200,000 arguments" in refusal(write(tmp_path / "x.pth", state_dict(call)))


def test_a_counter_is_not_copied(tmp_path: Path) -> None:
    counter = found("collections", "Counter")
    counts = b"}(" + b"".join(integer(number) + b"N" for number in range(10_000)) + b"uq\x00"
    calls = (counter + b"h\x00\x85R0") * 3_000
    path = write(tmp_path / "x.pth", state_dict(tensor(), behind=text("y") + counts + b"s" + calls))
    assert peak_memory(lambda: read_all(path)) < 16 << 20

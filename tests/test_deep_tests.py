"""Deep tests are left out openly, and the parts of seven days are all of them."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.deep import chosen, deep_but
from helpers.places import TESTS

TEST = """
import pytest
from helpers.deep import deep_but
@pytest.mark.parametrize("number", deep_but(range(10), light=lambda number: number < 2))
def test_it(number): pass
"""


def run_pytest(folder: Path, option: str) -> str:
    (folder / "conftest.py").write_text('pytest_plugins = ["helpers.deep"]\n')
    (folder / "test_few.py").write_text(TEST)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {TESTS}\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        f"--deep={option}",
        str(folder),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder).stdout


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 500])
def test_the_parts_are_disjoint_and_together_the_whole(count: int) -> None:
    ids = [f"test_it[{number}]" for number in range(count)]
    parts = [chosen(ids, f"{number}/7") for number in range(1, 8)]
    assert sum(map(len, parts)) == count
    assert set.union(*parts) == set(ids) == chosen(ids, "all")
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_part_does_not_depend_on_the_order_in_which_tests_are_found() -> None:
    ids = [f"test_it[{number}]" for number in range(30)]
    assert chosen(ids, "2/7") == chosen(ids[::-1], "2/7") != chosen(ids, "3/7")


@pytest.mark.parametrize("option", ["", "some", "0/7", "8/7", "1/0", "3", "-1/7"])
def test_what_is_not_an_option_is_refused(option: str) -> None:
    with pytest.raises(ValueError, match="none, all, or a part"):
        chosen(["test_it"], option)


def test_not_every_case_of_a_test_may_be_deep() -> None:
    with pytest.raises(AssertionError, match="no case of it"):
        deep_but([1, 2], light=lambda number: number > 2)


@pytest.mark.parametrize(
    ("option", "passed", "said"),
    [
        ("none", "2 passed, 8 deselected", "--deep=none: 0 of 8 deep tests, and all 2 others"),
        ("8/7", "", ""),
        ("1/7", "4 passed, 6 deselected", "--deep=1/7: 2 of 8 deep tests, and all 2 others"),
        ("all", "10 passed", "--deep=all: 8 of 8 deep tests, and all 2 others"),
    ],
)
def test_a_run_says_how_many_deep_tests_it_ran_of_how_many(tmp_path: Path, option: str, passed: str, said: str) -> None:
    printed = run_pytest(tmp_path, option)
    assert passed in printed
    assert said in printed
    assert bool(passed) == ("passed" in printed)

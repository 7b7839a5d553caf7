"""The commands of docs/ that need MindSpore work, and print what the pages show."""

from pathlib import Path

import pytest

from effconvert.demo.calibrated import make_example
from helpers.frameworks.verifying import effconvert_command
from helpers.pages import MINDSPORE, PAGES, blocks_of, run_page

_PAGES = [page for page in PAGES if any(block.run_by == MINDSPORE for block in blocks_of(page))]


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_work_as_printed(page: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path("effconvert-demo")
    folder.mkdir()
    make_example(folder)
    assert run_page(page, effconvert_command, MINDSPORE)

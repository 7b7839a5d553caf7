"""The commands of README.md and docs/ that need the real libraries or trained weights work, and print what the pages show."""

from pathlib import Path

import pytest

from helpers.deep import deep_but
from helpers.frameworks.verifying import effconvert_command
from helpers.pages import FRAMEWORKS, PAGES, ROOT, blocks_of, run_page

_DEMO = ROOT / "docs" / "demo.md"
_OTHERS = [page for page in PAGES if page != _DEMO and any(block.run_by == FRAMEWORKS for block in blocks_of(page))]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder of the demo, which is the first page, and what its commands were."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder / "effconvert-demo", run_page(_DEMO, effconvert_command, FRAMEWORKS)


def test_the_demo_prints_what_its_page_shows(demo):
    assert demo[1] == ["effconvert demo"]


@pytest.mark.parametrize("page", deep_but(_OTHERS, lambda page: page.stem == "README"), ids=lambda page: page.stem)
def test_the_commands_of_a_page_work_as_printed(page: Path, demo, tmp_path, monkeypatch):
    (tmp_path / "effconvert-demo").symlink_to(demo[0])
    monkeypatch.chdir(tmp_path)
    assert run_page(page, effconvert_command, FRAMEWORKS)

"""README.md and docs/ are up to date: the page of the command line, links, commands within sentences."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.pages import NOWHERE, PAGES, ROOT, blocks_of

LINKED = [*PAGES, *ROOT.glob("*.md"), ROOT / "mappings" / "README.md", ROOT / "reference" / "README.md"]


def without_code(page: Path) -> str:
    """Return the text of a page without its blocks and its code."""
    return re.sub(r"^```.*?^```$|`[^`\n]+`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return what a link to a heading of the page may be called."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    words = [
        re.sub(r"[^\w\- ]", "", heading).strip().lower() for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    ]
    return {heading.replace(" ", "-") for heading in words}


def test_the_page_of_the_command_line_is_what_help_prints() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "cli_page.py")]
    written = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == written, "`make pages` writes it"


@pytest.mark.parametrize("page", sorted(set(LINKED)), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_links_of_a_page_lead_to_files_and_headings(page: Path) -> None:
    for address, _, heading in re.findall(r"\]\(([^)\s#]*)(#([^)\s]*))?\)", without_code(page)):
        if "://" in address:
            continue
        target = page.parent / address if address else page
        assert target.exists(), f"{page.name}: {address}"
        assert not heading or heading in anchors(target), f"{page.name}: {address}#{heading}"


def test_a_command_within_a_sentence_is_the_beginning_of_one_that_is_run() -> None:
    run = {" ".join(command.partition(" #")[0].split()) for page in PAGES for block in blocks_of(page)
           if block.run_by != NOWHERE for command, _ in block.commands()}  # fmt: skip
    unknown = []
    for page in PAGES:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for command in re.findall(r"`(effconvert [^`]+)`", text):
            words = " ".join(command.split())
            is_pattern = re.search(r"\b[A-Z]{3,}\b|…", words)  # effconvert COMMAND --help
            if not is_pattern and not any(each.startswith(words) for each in run):
                unknown.append(f"{page.name}: {words}")
    assert unknown == []

"""Hooks of mkdocs: the site is made of docs/ and of the pages that stand elsewhere in the repository, where they are.

Links in pages are those of the repository, so that they work where it is read. Here they become links within the site.
A file that is linked and is not a page is copied. A link to a folder leads to the README.md of that folder.
"""

import logging
import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

_LOG = logging.getLogger("mkdocs.hooks")  # what it is told counts as the site's own warnings
ROOT = Path(__file__).parents[1]
# Pages outside of docs/: {path in the repository: path in the site}; others keep their path.
_HOMES = {
    "README.md": "index.md",
    "mappings/README.md": "map-language.md",
    "reference/README.md": "published-numbers.md",
}
_PAGES = [
    "*.md",
    "mappings/README.md",
    "reference/README.md",
    "benchmarks/README.md",
    "effconvert/**/README.md",
    "validate/**/README.md",
]
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_API = re.compile(r"<!-- api: ([\w.]+) -->")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand outside of docs/, and the files that pages link to."""
    pages = sorted({path for pattern in _PAGES for path in ROOT.glob(pattern)})
    for path in pages:
        _add(files, config, path)
    for page in [*pages, *Path(config.docs_dir).rglob("*.md")]:
        for target in _targets(page):
            if target.is_file() and not files.get_file_from_path(_site_path(target)):
                _add(files, config, target)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn the links of a page into links within the site, and `<!-- api: NAME -->` into what the docstrings say."""
    source = Path(page.file.abs_src_path)
    parts = _CODE.split(_API.sub(r"\n::: \1\n", markdown))
    here = posixpath.dirname(page.file.src_uri) or "."
    return "".join(part if number % 2 else _relinked(part, source, here) for number, part in enumerate(parts))


def _relinked(text: str, source: Path, here: str) -> str:
    def link(found: re.Match[str]) -> str:
        if "://" in found[2]:
            return found[0]
        target = _target(source, found[2])
        if not target.exists():
            _LOG.warning("%s: links to %s, which does not exist", source.relative_to(ROOT), found[2])
        path = posixpath.relpath(_site_path(target), here) if target.is_file() else found[2]
        return f"{found[1]}{path}{found[3] or ''}{found[4]}"

    # A folder without a page of its own has no place in the site: its name stays.
    for words, address in re.findall(r"\[([^\]]+)\]\(([^)\s#]+)\)", text):
        if "://" not in address and _target(source, address).is_dir():
            text = text.replace(f"[{words}]({address})", words)
    return _LINK.sub(link, text)


def _targets(page: Path) -> list[Path]:
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    return [_target(page, found[2]) for found in _LINK.finditer(text) if "://" not in found[2]]


def _target(source: Path, address: str) -> Path:
    """Return the file that a link means; of a folder with a page, that page."""
    target = Path(os.path.normpath(source.parent / address))
    return target / "README.md" if (target / "README.md").is_file() else target


def _site_path(path: Path) -> str:
    name = path.relative_to(ROOT).as_posix()
    return _HOMES.get(name, name.removeprefix("docs/"))


def _add(files: Files, config: Any, path: Path) -> None:
    files.append(File.generated(config, _site_path(path), abs_src_path=str(path)))

"""Writer of a report's folder, whole or not at all: every rendering, and the SHA-256 of each file."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from effconvert.atomic import check_folder_name, check_output, new_folder
from effconvert.errors import EffconvertError, listing
from effconvert.hashing import file_sha256
from effconvert.report.contents.report import Report
from effconvert.report.renderings.card import card_names, cards
from effconvert.report.renderings.json_text import json_text
from effconvert.report.renderings.markdown import render_markdown
from effconvert.report.renderings.metafile import render_metafile
from effconvert.report.renderings.model_index import model_index_file
from effconvert.report.renderings.tables import render_tables
from effconvert.report.renderings.text import csv_text
from effconvert.report.schema import absurdities

_HASHES = "SHA256SUMS"
_DOCUMENT = "report.json"
_LARGEST_LIST = 1 << 22  # bytes of a list of hashes
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\n]+)")


def write_report(document: Report, folder: Path, force: bool = False) -> list[Path]:
    """Write every rendering of `document` (`effconvert/report/1`) into `folder`, and return their paths.

    The same document gives the same bytes. With `force` an earlier report is replaced, with all its files; other files,
    and files that were changed since, are kept.

    Raises OutputProblem if `folder` cannot be written, EffconvertError for a number that JSON does not have.
    """
    check_folder_name(folder)
    check_output(folder, force)
    plain = document.to_dict()
    if found := absurdities(plain):  # all else is right by the types of the document
        raise EffconvertError(listing("nothing was written, because this document is not a report:", found))
    contents = {name: text.encode() for name, text in _contents(document, plain)}
    contents[_HASHES] = _hashes(contents).encode()
    with new_folder(folder, force, _earlier(folder)) as part:
        for name, content in contents.items():
            (part / name).write_bytes(content)
    return [folder / name for name in contents]


def _contents(document: Report, plain: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and the contents of every file."""
    from effconvert.report.pictures import pictures
    from effconvert.report.pictures.svg import standalone
    from effconvert.report.renderings.page import render_page

    drawn = pictures(plain)
    yield "report.html", render_page(document, drawn)
    yield "report.md", render_markdown(document)
    yield _DOCUMENT, json_text(plain, allow_nan=False)
    yield from render_tables(document).items()
    for picture in drawn:
        yield f"{picture.name}.svg", standalone(picture.svg)
        yield f"picture-{picture.name}.csv", csv_text(picture.headers, picture.rows)
    listings = {
        "model-index.yml": model_index_file(document),
        "metafile.yml": render_metafile(document, card_names(document)),
    }
    yield from ((name, text) for name, text in listings.items() if text)
    yield from cards(document).items()


def _hashes(contents: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of every file, in the format of `sha256sum --check`."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(contents.items()))


def _earlier(folder: Path) -> set[str]:
    """Return the names of the files in `folder` that an earlier report wrote and that have not changed since."""
    path = folder / _HASHES
    if not path.is_file() or path.stat().st_size > _LARGEST_LIST:
        return set()
    listed = (_LINE.fullmatch(line) for line in path.read_text(encoding="utf-8", errors="replace").split("\n"))
    written = {found[2]: found[1] for found in listed if found}
    if _DOCUMENT not in written:
        return set()
    same = {
        name for name, sha256 in written.items() if _is_file(folder / name) and file_sha256(folder / name) == sha256
    }
    return same | {_HASHES}


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()

"""The pictures of a report, each a function of the document: drawn by matplotlib, which is imported only to draw."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effconvert.atomic import check_output
from effconvert.errors import EffconvertError, OutputProblem

PICTURES = ("accuracy", "cost", "layers", "agreement", "differences", "throughput")
SUFFIXES = (".svg", ".png", ".csv")


class NothingToDraw(EffconvertError):
    """A document has nothing that a picture could show: a usage error."""

    exit_code = 2


@dataclass(frozen=True)
class Picture:
    """A picture as an `svg` element, what it shows in words, and its numbers as a table.

    name: one of PICTURES, or `layers-<id>` of a verification. text: read in place of the picture. headers, rows: all
    numbers, those that the picture leaves out too. svg: has no background and takes the page's colour of text.
    """

    name: str
    title: str
    text: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    svg: str


def pictures(document: dict[str, Any]) -> list[Picture]:
    """Return the pictures that a document (`effconvert/report/1`) has something to show for, as PICTURES has them.

    `layers` are several: of the six verifications that are furthest from their tolerance.
    """
    from effconvert.report.pictures.drawn import draw_all, finished

    return [finished(one) for name in PICTURES for one in draw_all(document, name)]


def picture(document: dict[str, Any], name: str) -> Picture | None:
    """Return the picture called `name`, None where the document has nothing to show for it.

    name: one of PICTURES, of which `layers` is that furthest from its tolerance, or `layers-<id>` of a verification.
    """
    from effconvert.report.pictures.drawn import draw_all, finished

    return next((finished(one) for one in draw_all(document, name, most=1)), None)


def check_picture(path: Path, force: bool = False) -> None:
    """Raise OutputProblem where `path` cannot become a picture: another suffix, or an output that exists."""
    if path.suffix.lower() not in SUFFIXES:
        raise OutputProblem(
            f"{path}: a picture ends in .svg or .png, its numbers in .csv; give another name with --out"
        )
    check_output(path, force)


def write_picture(document: dict[str, Any], name: str, path: Path, force: bool = False) -> str:
    """Write the picture called `name` to `path`, as its suffix says: .svg, .png for print, or .csv with its numbers.

    Returns what it shows and leaves out, in words.

    Raises OutputProblem as `check_picture` does, and NothingToDraw that says what the document would need.
    """
    check_picture(path, force)
    from effconvert.report.pictures.drawn import write

    return write(document, name, path, force)

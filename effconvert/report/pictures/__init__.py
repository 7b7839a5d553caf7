"""Pictures of a report, each a function of the document, drawn by matplotlib, which is imported only for drawing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effconvert.atomic import check_output
from effconvert.errors import EffconvertError, OutputProblem
from effconvert.option_words import option

PICTURES = ("accuracy", "cost", "layers", "agreement", "differences", "throughput")
SUFFIXES = (".svg", ".pdf", ".png", ".csv")


class NothingToDraw(EffconvertError):
    """A document has nothing for a picture to show: a usage error."""

    exit_code = 2


@dataclass(frozen=True)
class Picture:
    """A picture as an `svg` element, with a description and its numbers as a table.

    name: one of PICTURES, or `layers-<id>` of a verification. text: the description. headers, rows: all numbers, also
    those that the picture leaves out. svg: without background, in the page's text colour.
    """

    name: str
    title: str
    text: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    svg: str


def pictures(document: dict[str, Any]) -> list[Picture]:
    """Return all pictures that a document (`effconvert/report/1`) has data for, in the order of PICTURES.

    `layers` are up to six: of the verifications with the largest differences compared with their tolerance.
    """
    from effconvert.report.pictures.drawn import draw_all, finished

    return [finished(one) for name in PICTURES for one in draw_all(document, name)]


def picture(document: dict[str, Any], name: str) -> Picture | None:
    """Return the picture `name`, None if the document has no data for it.

    name: one of PICTURES, or `layers-<id>` of a verification; `layers` alone is the one with the largest difference.
    """
    from effconvert.report.pictures.drawn import draw_all, finished

    return next((finished(one) for one in draw_all(document, name, most=1)), None)


def check_picture(path: Path, force: bool = False) -> None:
    """Raise OutputProblem for another suffix than a picture's, or an existing output."""
    if path.suffix.lower() not in SUFFIXES:
        raise OutputProblem(
            f"{path}: the suffix must be .svg, .pdf or .png, or .csv for the numbers; "
            f"give another name with {option('out')}"
        )
    check_output(path, force)


def write_picture(document: dict[str, Any], name: str, path: Path, force: bool = False) -> str:
    """Write the picture `name` to `path`; the suffix decides: .svg, .pdf, .png, or .csv with its numbers.

    Returns the description of what it shows and leaves out.

    Raises OutputProblem as `check_picture` does, and NothingToDraw with the data that the document lacks.
    """
    check_picture(path, force)
    from effconvert.report.pictures.drawn import write

    return write(document, name, path, force)

"""Drawing of pictures by name, and writing of one picture or its numbers to a file."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf

from effconvert.atomic import new_file
from effconvert.report.pictures import (
    NothingToDraw,
    Picture,
    accuracy,
    agreement,
    cost,
    differences,
    layers,
    throughput,
)
from effconvert.report.pictures.style import PIXELS, Drawing, drawing
from effconvert.report.pictures.svg import standalone, svg_text
from effconvert.report.renderings.text import csv_text

_DRAW = {
    "accuracy": accuracy.draw,
    "cost": cost.draw,
    "agreement": agreement.draw,
    "differences": differences.draw,
    "throughput": throughput.draw,
}


def draw_all(document: dict[str, Any], name: str, most: int = layers.SHOWN) -> list[Drawing]:
    """Return the drawings called `name`: none without data, and up to `most` of `layers`."""
    with drawing():
        if name in _DRAW:
            one = _DRAW[name](document)
            found = [one] if one else []
        else:
            known = [one for one in layers.verified(document) if name in (layers.NAME, f"{layers.NAME}-{one.id}")]
            found = [layers.draw(one) for one in known[:most]]
        for artist in (artist for one in found for artist in one.figure.findobj()):
            artist.set_clip_on(False)  # what would leave its frame is cut by the pictures, and marked
    return found


def finished(one: Drawing) -> Picture:
    """Return a drawing as a picture."""
    with drawing():
        svg = svg_text(one.figure, one.name, one.title, one.text)
    return Picture(one.name, one.title, one.text, one.headers, one.rows, svg)


_NEEDED = {
    "accuracy": "accuracies: a run of `validate` on ImageNet's validation images",
    "cost": "accuracies: a run of `validate` on ImageNet's validation images",
    "layers": "compared layers: give a file of `verify --json` with --verify",
    "agreement": "two runs of `validate` on the same images",
    "differences": "a run of `validate` with weights that have a published accuracy",
    "throughput": "runs of `validate` with recorded times",
}


def write(document: dict[str, Any], name: str, path: Path, force: bool) -> str:
    """Write the picture `name` in the format of the suffix of `path`, and return its text. Raises NothingToDraw."""
    found = draw_all(document, name, most=1)
    if not found:
        words = f"{name}: nothing to draw; it needs {_NEEDED[name.partition('-')[0]]}"
        raise NothingToDraw("; ".join([words, *(_uncompared(document) if name == "agreement" else ())]))
    content = _CONTENTS[path.suffix.lower()](found[0])
    with new_file(path, force) as (file, _):
        file.write(content)
    return found[0].text


def _uncompared(document: dict[str, Any]) -> list[str]:
    """Return why networks were not compared image by image."""
    return list(document["agreement"]["uncompared"]) if document["agreement"] else []


def _svg(one: Drawing) -> bytes:
    return standalone(finished(one).svg).encode()


def _png(one: Drawing) -> bytes:
    """Return the picture for print: twice the pixels, black on white."""
    written = io.BytesIO()
    with drawing():
        one.figure.set(dpi=2 * PIXELS, facecolor="white")
        canvas: Any = FigureCanvasAgg(one.figure)
        canvas.print_png(written, metadata={"Software": None, "Description": one.text})
    return written.getvalue()


def _pdf(one: Drawing) -> bytes:
    """Return the picture with its fonts, and without a date, so that it is the same each time."""
    written = io.BytesIO()
    with drawing():
        metadata = {"Title": one.title, "Subject": one.text, "CreationDate": None}
        canvas: Any = FigureCanvasPdf(one.figure)
        canvas.print_pdf(written, metadata=metadata)
    return written.getvalue()


def _csv(one: Drawing) -> bytes:
    return csv_text(one.headers, one.rows).encode()


_CONTENTS: dict[str, Callable[[Drawing], bytes]] = {".svg": _svg, ".pdf": _pdf, ".png": _png, ".csv": _csv}

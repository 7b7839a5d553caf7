"""Draws the pictures by their names, and writes one to a file of its own, or its numbers as a table."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg

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
from effconvert.report.renderings.network_views import uncompared
from effconvert.report.renderings.text import csv_text

_DRAW = {
    "accuracy": accuracy.draw,
    "cost": cost.draw,
    "agreement": agreement.draw,
    "differences": differences.draw,
    "throughput": throughput.draw,
}


def draw_all(document: dict[str, Any], name: str, most: int = layers.SHOWN) -> list[Drawing]:
    """Return the drawings called `name`: none where there is nothing to show, and of `layers` up to `most`."""
    with drawing():
        if name in _DRAW:
            one = _DRAW[name](document)
            return [one] if one else []
        found = [one for one in layers.verified(document) if name in (layers.NAME, f"{layers.NAME}-{one.id}")]
        return [layers.draw(one) for one in found[:most]]


def finished(one: Drawing) -> Picture:
    """Return a drawing as a picture."""
    with drawing():
        svg = svg_text(one.figure, one.name, one.title, one.text)
    return Picture(one.name, one.title, one.text, one.headers, one.rows, svg)


_NEEDED = {
    "accuracy": "accuracies: a run of `validate` on ImageNet's validation images",
    "cost": "accuracies: a run of `validate` on ImageNet's validation images",
    "layers": "compared layers: give --verify a file that `verify --json` wrote",
    "agreement": "two runs of `validate` of the same images",
    "differences": "a run of `validate` of weights whose accuracy was published",
    "throughput": "runs of `validate` that say how long they took",
}


def write(document: dict[str, Any], name: str, path: Path, force: bool) -> str:
    """Write the picture called `name` as the suffix of `path` says, return its text. Raises NothingToDraw."""
    found = draw_all(document, name, most=1)
    if not found:
        words = f"{name}: nothing to draw; it needs {_NEEDED[name.partition('-')[0]]}"
        raise NothingToDraw("; ".join([words, *(uncompared(document) if name == "agreement" else ())]))
    content = _CONTENTS[path.suffix.lower()](found[0])
    with new_file(path, force) as (file, _):
        file.write(content)
    return found[0].text


def _svg(one: Drawing) -> bytes:
    return standalone(finished(one).svg).encode()


def _png(one: Drawing) -> bytes:
    """Return the picture for print: twice the pixels, black on white."""
    written = io.BytesIO()
    with drawing():
        one.figure.set(dpi=2 * PIXELS, facecolor="white")
        one.figure.patch.set_visible(True)
        canvas: Any = FigureCanvasAgg(one.figure)
        canvas.print_png(written, metadata={"Software": None, "Description": one.text})
    return written.getvalue()


def _csv(one: Drawing) -> bytes:
    return csv_text(one.headers, one.rows).encode()


_CONTENTS: dict[str, Callable[[Drawing], bytes]] = {".svg": _svg, ".png": _png, ".csv": _csv}

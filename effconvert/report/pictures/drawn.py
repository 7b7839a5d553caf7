"""Draws the pictures by their names."""

from typing import Any

from effconvert.report.pictures import Picture, accuracy, agreement, cost, differences, layers, throughput
from effconvert.report.pictures.style import Drawing, drawing
from effconvert.report.pictures.svg import svg_text

_DRAW = {
    "accuracy": accuracy.draw,
    "cost": cost.draw,
    "agreement": agreement.draw,
    "differences": differences.draw,
    "throughput": throughput.draw,
}


def drawn(document: dict[str, Any], name: str, most: int = layers.SHOWN) -> list[Drawing]:
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

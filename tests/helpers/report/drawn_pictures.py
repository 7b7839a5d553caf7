"""Reading a picture's SVG: its markers, labels and colours."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> Element:
    """Return the root; the text must be well-formed XML."""
    return ElementTree.fromstring(svg)


def parts(svg: str, shows: str) -> list[Element]:
    """Return what shows `shows`: a marker, a shape or a text each."""
    groups = (element for element in parsed(svg).iter() if element.get("data-shows") == shows)
    return [part for group in groups for part in group if part.tag != f"{SVG}defs"]


def markers(svg: str, shows: str) -> list[Element]:
    """Return the markers that show `shows`, in the order of the data."""
    return [part for part in parts(svg, shows) if part.tag == f"{SVG}use"]


def texts(svg: str) -> list[str]:
    """Return every text of the picture."""
    return [element.text or "" for element in parsed(svg).iter(f"{SVG}text")]


def hollow(marker: Element) -> bool:
    """Return whether nothing is inside a marker."""
    return marker.get("fill") == "none" or marker.get("fill-opacity") == "0"


def colours(svg: str) -> set[str]:
    """Return every colour that lines, markers, areas and texts have."""
    return {
        element.attrib[key]
        for element in parsed(svg).iter()
        for key in ("fill", "stroke", "color")
        if key in element.attrib
    }


def corners(shape: Element) -> tuple[float, float, float, float]:
    """Return the box around a shape: left, top, right, bottom."""
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", shape.attrib["d"])]
    return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])


def numbered(svg: str) -> Iterator[tuple[float, float, float]]:
    """Give (number, x, y) of every text that is a number, as those of axes are."""
    for element in parsed(svg).iter(f"{SVG}text"):
        text = (element.text or "").replace("\N{MINUS SIGN}", "-")
        if re.fullmatch(r"[+-]?\d+(\.\d+)?(e-?\d+)?", text):
            yield float(text), float(element.attrib["x"]), float(element.attrib["y"])


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as #rrggbb (WCAG 2.1)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue

"""SVG of a figure for a page: small, in the page's text colour, with unique ids.

matplotlib's output is parsed as XML and simplified: presentation attributes instead of style (a page may forbid that),
text as text, numbers with two digits, no unused groups or ids.
"""

import io
import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from effconvert.report.pictures.style import INK, SHOWS

# For a standalone file: white ink in a browser's dark mode, which needs CSS.
_PROLOG = '<?xml version="1.0" encoding="utf-8"?>\n'
_INK = "<style>svg{color:#000}@media(prefers-color-scheme:dark){svg{color:#fff}}</style>"
_NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_FONT = re.compile(r"font: (?P<words>.*?)(?P<size>[\d.]+)px [^;]*")
_NEEDLESS = {"stroke-linejoin", "font-family", "type", "version"}


def svg_text(figure: Figure, name: str, title: str, text: str) -> str:
    """Return the figure as an `svg` element. name: prefix of its ids. title, text: for screen readers."""
    written = io.StringIO()
    FigureCanvasSVG(figure).print_svg(written, metadata=_NO_METADATA)  # type: ignore[no-untyped-call]
    root = ElementTree.fromstring(written.getvalue())
    ids = _referenced(root, name)
    for element in root.iter():
        _simplify(element, ids)
    _flatten(root)
    width, height = root.attrib["viewBox"].split()[2:]
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": root.attrib["viewBox"],
        "width": width,
        "height": height,
        "role": "img",
        "aria-label": f"{title}. {text}",
        "font-family": "sans-serif",
        "stroke-linejoin": "round",
    }
    return ElementTree.tostring(root, encoding="unicode")


def standalone(svg: str) -> str:
    """Return a file with only the element `svg`, in black ink, or in white ink in dark mode."""
    begin = svg.index(">") + 1
    return f"{_PROLOG}{svg[:begin]}{_INK}{svg[begin:]}\n"


def _referenced(root: Element, name: str) -> dict[str, str]:
    """Return {id: its short new name} for the elements that others refer to."""
    used = re.compile(r"#([\w.-]+)")
    values = (value for element in root.iter() for key, value in element.attrib.items() if _refers(key, value))
    found = dict.fromkeys(used.search(value).group(1) for value in values)  # type: ignore[union-attr]
    return {old: f"{name}-{number}" for number, old in enumerate(found)}


def _refers(key: str, value: str) -> bool:
    return key.endswith("href") or value.startswith("url(#")


def _simplify(element: Element, ids: dict[str, str]) -> None:
    element.tag = element.tag.rpartition("}")[2]
    if element.text and element.tag != "text":
        element.text = None
    element.tail = None
    given = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    given |= _declarations(given.pop("style", ""))
    shows = given["id"].removeprefix(SHOWS) if given.get("id", "").startswith(SHOWS) else ""
    kept = {key: _rewritten(key, value, ids) for key, value in given.items() if key not in _NEEDLESS}
    kept["data-shows"] = shows
    element.attrib = {key: value for key, value in kept.items() if value}
    if element.tag == "path" and element.get("stroke-linecap") == "butt":
        del element.attrib["stroke-linecap"]


def _declarations(style: str) -> dict[str, str]:
    """Return the declarations of a `style` attribute as attributes, also from the shorthand `font`."""
    font = _FONT.search(style)
    pairs = (part.partition(":") for part in style.split(";") if part.strip() and not part.strip().startswith("font:"))
    found = {key.strip(): value.strip() for key, _, value in pairs}
    if font:
        found["font-size"] = font["size"]
        found |= {"font-weight": "bold"} if re.search("bold|700", font["words"]) else {}
    return found


def _rewritten(key: str, value: str, ids: dict[str, str]) -> str:
    """Return an attribute's value, "" for one without effect."""
    if key == "id":
        return ids.get(value, "")
    if value == INK:
        return "currentColor"
    if key == "transform" and value.startswith("rotate(-0 "):
        return ""
    if key == "href":
        return f"#{ids[value[1:]]}"
    if value.startswith("url(#"):
        return f"url(#{ids[value[5:-1]]})"
    if key == "font-size":
        value = value.removesuffix("px")
    value = _NUMBER.sub(_digits, value)
    return " ".join(value.split()) if key == "d" else value


def _digits(number: re.Match[str]) -> str:
    text = f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _flatten(element: Element) -> None:
    """Remove groups without attributes, and empty groups."""
    children: list[Element] = []
    for child in element:
        _flatten(child)
        if child.tag in ("metadata", "style") or (child.tag in ("g", "defs") and not len(child)):
            continue
        if child.tag == "g" and not child.attrib:
            children.extend(child)
        else:
            children.append(child)
    element[:] = children

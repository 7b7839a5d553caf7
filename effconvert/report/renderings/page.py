"""The report as one HTML page that needs nothing else: no network, no other file, no script to be read.

Words that come from files are made visible and escaped by the environment, wherever they stand; what escaping might
miss can still load and run nothing, by the page's own policy.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from effconvert.report.checks import CHECKS
from effconvert.report.renderings import network_views, numbers_text, published_views
from effconvert.report.renderings.text import address, shortened, visible
from effconvert.report.sentences import overall

if TYPE_CHECKING:
    from effconvert.report.pictures import Picture

_HANDFUL = 6  # networks that are shown unfolded
_ROWS_BESIDE_PICTURE = 120
_WORDS = ("passed", "near", "failed", "not judged", "not measured", "same", "away")

Networks = list[Mapping[str, Any]]


@dataclass(frozen=True)
class Section:
    """A part of the page. needs: says by the page's values whether there is something to show."""

    name: str
    title: str
    needs: Callable[[Mapping[str, Any]], Any] = lambda values: True

    @property
    def template(self) -> str:
        """The file that it is made with."""
        return f"page_{self.name}.html.jinja"


_SECTIONS = {
    "runs": (
        Section("verdicts", "Verdicts"),
        Section("accuracy", "Accuracy", lambda values: values["measured"]),
        Section("tensors", "Tensors", lambda values: values["converted"]),
        Section("layers", "Layers", lambda values: values["verified"]),
        Section("cautions", "Cautions", lambda values: values["cautions"]),
        Section("cost", "Cost", lambda values: values["counted"]),
        Section("throughput", "Throughput", lambda values: values["timed"]),
        Section("agreement", "Agreement", lambda values: values["document"]["agreement"]),
        Section("disagreements", "Where sources disagree", lambda values: values["disagreements"]),
        Section("provenance", "Provenance"),
    ),
    "published": (
        Section("words", "What is what"),
        Section("networks", "Networks"),
        Section("publishers", "Accuracy by publisher"),
        Section("data-sets", "Other data sets"),
        Section("costs", "Cost by convention"),
        Section("disagreements", "Where sources disagree", lambda values: values["disagreements"]),
        Section("files", "Files"),
        Section("numbers", "Every number"),
        Section("sources", "Sources"),
    ),
}


def render_page(document: Mapping[str, Any], pictures: Sequence["Picture"]) -> str:
    """Return the report as HTML. pictures: those of the document, drawn already."""
    style, script = template_text("page.css"), template_text("sort.js")
    values = _values(document) | {
        "layer_pictures": [picture.name for picture in pictures if picture.name.startswith("layers")],
        "pictures": {picture.name: picture for picture in pictures},
        "style": Markup(style),
        "script": Markup(script),
        "policy": _policy(style, script),
    }
    sections = [section for section in _SECTIONS[document["kind"]] if section.needs(values)]
    return _environment().get_template("page.html.jinja").render(values, sections=sections) + "\n"


def _values(document: Mapping[str, Any]) -> dict[str, Any]:
    networks: Networks = document["networks"]
    parts = {
        "measured": "accuracy",
        "converted": "conversion",
        "with_verifications": "verifications",
        "counted": "cost",
        "timed": "throughput",
    }
    having = {name: [network for network in networks if network[part]] for name, part in parts.items()}
    reported = {(network["variant"], weights) for network in networks for weights in (network["weights"], "")}
    disagreements = [
        found
        for found in document["published"]["disagreements"]
        if not networks or (found["variant"], found["weights"]) in reported
    ]
    verified = network_views.verified_networks(network_views.detailed(having["with_verifications"]))
    return having | {
        "document": document,
        "verified": verified,
        "disagreements": disagreements,
        "cautions": network_views.caution_groups(document),
    }


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: only this style, this script and pictures in the page itself."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in (style, script)
    ]
    return (
        f"default-src 'none'; style-src {hashes[0]}; script-src {hashes[1]}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(template_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finished,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "checks": CHECKS,
        "handful": _HANDFUL,
        "key_figures": network_views.key_figures,
        "rows_beside_picture": _ROWS_BESIDE_PICTURE,
    }
    environment.filters |= _filters()
    return environment


def _filters() -> dict[str, Callable[..., Any]]:
    modules = {
        network_views: """
            agreeing_pairs command detailed disagreements_of guilty_row listed operation_conventions p_value pair_count
            provenance sentences settings share some uncompared with_layers
        """,
        numbers_text: "billions count decimals error plain proportion published rate signed",
        published_views: """
            accuracy_rows amount amount_of best_accuracy by_data_set by_publisher circumstances costs_by_convention
            disagreement_words file_name quantity_words shared_rows single_numbers
        """,
    }
    found = {name: getattr(module, name) for module, names in modules.items() for name in names.split()}
    return found | {
        "address": address,
        "overall": overall,
        "shortened": shortened,
        "verdict_class": _verdict_class,
        "drawn": Markup,
    }


def _finished(value: Any) -> Any:
    """Return what is printed for a value of a template: every character visible, and a dash for what is not known."""
    if value is None:
        return numbers_text.NONE
    return value if hasattr(value, "__html__") else visible(value)


def _verdict_class(word: str) -> str:
    return word.replace(" ", "-") if word in _WORDS else "not-judged"


@cache
def template_text(name: str) -> str:
    """Return a file of `templates/`."""
    return files("effconvert.report.renderings").joinpath("templates", name).read_text(encoding="utf-8")

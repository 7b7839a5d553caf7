"""HTML page of a report: one self-contained file that works offline and can be read without scripts.

The template environment makes strings from files visible and escapes them everywhere. The page's own
Content-Security-Policy also prevents anything that escaping might miss from loading or running.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from effconvert.identify.reasons import several
from effconvert.report import causes, sentences
from effconvert.report.checks import share_of_tolerance
from effconvert.report.contents.report import Report
from effconvert.report.renderings import network_views, numbers_text, published_views, record_words
from effconvert.report.renderings.text import address, shortened, visible

if TYPE_CHECKING:
    from effconvert.report.pictures import Picture

_HANDFUL = 6  # networks that are shown expanded
_ROWS_BESIDE_PICTURE = 120
_FEW_COLUMNS = 6  # networks that are columns of a table
# Where a line may end in a name, but not in a number. 20 characters are as wide as a column on a phone.
_LINE_ENDS = re.compile(r"(?<=[/_:])(?=[^\s/_:])|(?<=\.)(?=[^\W\d_])|(?<=-)(?=\d{4})|(?<=[^\s/_.:-]{20})(?=[^\s/_.:-])")
_WORDS = ("passed", "near", "failed", "incomplete", "not judged", "not measured", "same", "away")
# The legend of the signs that page.css puts before a verdict, by its class.
_SIGNS = {
    "passed": "passed, or the same as published",
    "near": "passed under weaker conditions, or near what was published",
    "failed": "failed, or away from what was published",
    "incomplete": "none failed, but not every check could be made",
    "not-judged": "measured, but not judged",
    "not-measured": "not measured, not known or not published",
}


@dataclass(frozen=True)
class Section:
    """A section of the page. needs: returns from the page's values whether there is something to show."""

    name: str
    title: str
    needs: Callable[[Mapping[str, Any]], Any] = lambda values: True

    @property
    def template(self) -> str:
        """The template's file name."""
        return f"page_{self.name}.html.jinja"


_SECTIONS = {
    "runs": (
        Section("summary", "Networks"),
        Section("verdicts", "Checks"),
        Section("accuracy", "Accuracy", lambda values: values["measured"]),
        Section("tensors", "Tensors", lambda values: values["converted"]),
        Section("layers", "Layers", lambda values: values["verified"]),
        Section("warnings", "Warnings", lambda values: values["warnings"]),
        Section("cost", "Cost", lambda values: values["counted"]),
        Section("throughput", "Throughput", lambda values: values["timed"]),
        Section("agreement", "Agreement", lambda values: values["document"].agreement),
        Section("disagreements", "Where sources disagree", lambda values: values["disagreements"]),
        Section("provenance", "Provenance"),
    ),
    "published": (
        Section("networks", "Variants"),
        Section("publishers", "Accuracy by publisher"),
        Section("data-sets", "Other data sets"),
        Section("costs", "Cost by convention"),
        Section("words", "Definitions"),
        Section("disagreements", "Where sources disagree", lambda values: values["disagreements"]),
        Section("files", "Files"),
        Section("numbers", "Every number"),
        Section("sources", "Sources"),
    ),
}


def render_page(document: Report, pictures: Sequence["Picture"]) -> str:
    """Return the report as HTML. pictures: the document's, already drawn."""
    style, script = template_text("page.css"), template_text("sort.js")
    values = _values(document) | {
        "layer_pictures": [picture.name for picture in pictures if picture.name.startswith("layers")],
        "pictures": {picture.name: picture for picture in pictures},
        "style": Markup(style),
        "script": Markup(script),
        "policy": _policy(style, script),
    }
    sections = [section for section in _SECTIONS[document.kind] if section.needs(values)]
    return _environment().get_template("page.html.jinja").render(values, sections=sections) + "\n"


def _values(document: Report) -> dict[str, Any]:
    networks = document.networks
    parts = {
        "measured": "accuracy",
        "converted": "conversion",
        "with_verifications": "verifications",
        "counted": "cost",
        "timed": "throughput",
    }
    having = {name: [network for network in networks if getattr(network, part)] for name, part in parts.items()}
    reported = {(network.variant, weights) for network in networks for weights in (network.weights, "")}
    disagreements = [
        found
        for found in document.published.disagreements
        if not networks or (found.variant, found.weights) in reported
    ]
    verified = network_views.verified_networks(network_views.detailed(having["with_verifications"]))
    return having | {
        "document": document,
        "verified": verified,
        "disagreements": disagreements,
        "warnings": network_views.warning_groups(document),
    }


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy, which allows only this style, this script and images in the page itself."""
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
        "few_columns": _FEW_COLUMNS,
        "first_batch": numbers_text.FIRST_BATCH,
        "handful": _HANDFUL,
        "rows_beside_picture": _ROWS_BESIDE_PICTURE,
        "signs": _SIGNS,
    }
    environment.filters |= _filters()
    return environment


def _filters() -> dict[str, Callable[..., Any]]:
    modules = {
        network_views: """
            agreeing_pairs detailed difference disagreements_of diverging_row failed_verifications listed
            operation_conventions p_value pair_count sentences share verdict_lines verified_against with_layers
        """,
        record_words: "command options_words provenance",
        sentences: "some",
        causes: "cause_words missing_cause",
        numbers_text: """
            billions count decimals error percent places plain processes_words proportion published rate signed
        """,
        published_views: """
            accuracy_rows amount amount_of best_accuracy by_data_set by_publisher circumstances costs_by_convention
            disagreement_words file_name quantity_words
        """,
    }
    found = {name: getattr(module, name) for module, names in modules.items() for name in names.split()}
    return found | {
        "address": address,
        "breakable": _breakable,
        "after_verdict": lambda sentence, word: sentence.removeprefix(f"{word}: "),
        "path_end": lambda path: PurePath(path).name or path,
        "share_of_tolerance": share_of_tolerance,
        "several": lambda reason, number: several(number, reason),
        "shortened": shortened,
        "verdict_class": _verdict_class,
        "drawn": Markup,
        "mode_words": numbers_text.MODE_WORDS.get,
    }


def _finished(value: Any) -> Any:
    """Return the output for a value in a template: every character visible, and a dash for None."""
    if value is None:
        return numbers_text.NONE
    return value if hasattr(value, "__html__") else visible(value)


def _breakable(text: Any) -> Markup:
    """Return a name whose line may end after / _ : and . or, where there are none for long, anywhere."""
    return Markup("<wbr>").join(_LINE_ENDS.split(visible(text)))


def _verdict_class(word: str) -> str:
    return word.replace(" ", "-") if word in _WORDS else "not-judged"


@cache
def template_text(name: str) -> str:
    """Return the text of a file in `templates/`."""
    return files("effconvert.report.renderings").joinpath("templates", name).read_text(encoding="utf-8")

"""Terminal output of a conversion."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from effconvert.architecture.canonical import CANONICAL
from effconvert.architecture.facts import only_assumed
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.terminal import print_code, print_pairs, say, say_command
from effconvert.cli.display.words import counted, facts_text, options_pairs, recipe_text
from effconvert.graphs.graph_options import GraphOptions
from effconvert.identify.reasons import several
from effconvert.report.renderings.numbers_text import size as size_text

if TYPE_CHECKING:
    from effconvert.conversion.steps import Report

_NAMED = 4
_SHOWN = 8


def print_report(report: "Report", as_json: JsonOutput | None, quiet: bool) -> None:
    """Print the report of a conversion: what was moved and written, the code that loads it, the warnings."""
    if put_json(as_json, {"schema": "effconvert/conversion/1", **report.to_dict()}) or quiet:
        return
    print_pairs(list(_pairs(report)))
    if report.network:
        print_code(f"Load it in Python{_with_images(report)}:", report.network)
    remark = [("images", report.remark)] if report.remark else []
    print_pairs([*remark, *(("warning", words) for words in _warnings(report))])
    if report.output_layout == CANONICAL and not report.graph:
        say("for timm:")
        say_command(["effconvert", "convert", report.output, "--to", "timm", "--out", _for_timm(report.output)])


def _pairs(report: "Report") -> Iterator[tuple[str, str]]:
    weights = f" ({report.weights})" if report.weights else ""
    taken = "" if report.taken == "weights" else f", {report.taken}"
    under = f", under {report.root}" if report.root else ""
    yield "source", f"{report.source}: {report.source_format}, layout {report.layout}{under}"
    if report.named_hash:
        yield "hash", report.named_hash
    yield "variant", f"{report.variant}{weights}, {report.parameters:,} parameters"
    yield "moved", f"{counted(report.moved)}{taken}"
    if report.classifier:
        yield "classifier", f"{report.classifier}, which reads the pooled features"
    for number, (reason, count) in enumerate(report.left_behind.items()):
        yield "" if number else "left behind", f"{several(count, reason)}{_named(report.left, reason)}"
    yield "facts", facts_text(report.facts, report.assumed)
    yield "recipe", recipe_text(report.recipe)
    yield from options_pairs(report.options)
    filled = ", ".join(several(count, reason) for reason, count in report.filled.items())
    added = f" (with {filled}, which {report.output_layout} has)" if filled else ""
    size = f"{counted(report.tensors)}{added}, {size_text(report.nbytes)}"
    layout = "ONNX, a graph" if report.graph else _layout_text(report.output_layout)
    yield "written", f"{report.output}: {layout}, {size}, read back and equal"
    if report.graph:
        yield "graph", GraphOptions(**report.graph).in_words
        yield "", report.execution


def _layout_text(name: str) -> str:
    """Return the name of a layout; of the canonical one also what that is."""
    return f"{name} (effconvert's own PyTorch network)" if name == CANONICAL else name


def _with_images(report: "Report") -> str:
    return ", and prepare images" if "transform" in report.network else ""


def _warnings(report: "Report") -> Iterator[str]:
    if report.inexact is not None:
        words = f"inexact: the logits of this network differ from the exact ones by {report.inexact:.2g} of the largest"
        assumed = report.options["inexact"].get("assumed", ())
        yield f"{words}{f', but {only_assumed(assumed)}' if assumed else ''}"
    yield from report.cautions
    strange = [words for words in report.strange if words.partition(": ")[0] not in report.zeroed]
    if report.untrained:
        yield report.untrained
    elif strange:
        more = f" … and {len(strange) - _SHOWN:,} more (--json has all)" if len(strange) > _SHOWN else ""
        yield f"{counted(len(strange))} with implausible values: {'; '.join(strange[:_SHOWN])}{more}"
    if len(strange) < len(report.strange):
        yield _zeroed(report, len(report.strange) - len(strange))


def _zeroed(report: "Report", tensors: int) -> str:
    """Return how many values the dtype of the output cannot hold, and how large they were."""
    lost = report.zeroed.values()
    count, largest = sum(each.values for each in lost), max(each.largest for each in lost)
    words = f"{count:,} values became 0 in {next(iter(lost)).dtype}, the largest of them {largest:.1e}"
    return f"{words}; {counted(tensors)} lost more than 1 % of the values, or a variance (--json names them)"


def _for_timm(output: str) -> str:
    stem, dot, suffix = output.rpartition(".")
    return f"{stem}-timm{dot}{suffix}"


def _named(left: Mapping[str, str], reason: str) -> str:
    """Return the first names of the tensors that an option left behind for `reason`; --json has all."""
    names = [name for name, said in left.items() if said == reason]
    more = f" … and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return f": {', '.join(names[:_NAMED])}{more}" if names else ""

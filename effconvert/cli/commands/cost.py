"""`effconvert cost`: parameters and operations, beside the published figures."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from effconvert.architecture.variants import find_variant
from effconvert.cli.click_classes import Command
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.terminal import print_pairs, print_table, say
from effconvert.cli.options.names import VARIANT
from effconvert.cli.options.shared import PATH, json_option, key_option, map_option, quiet_option

if TYPE_CHECKING:
    from effconvert.validate.cost_report import Comparison, CostReport

_PARAMETERS = {"trainable": "parameters", "with-statistics": "with statistics", "keras": "as Keras counts"}
_SHOWN = ("multiply-adds", "torch-flop-counter", "mmpretrain-table", "fvcore-timm")


@click.command("cost", cls=Command)
@click.argument("file", type=PATH, required=False)
@click.option("--variant", type=VARIANT, help="Show one variant, e.g. b0. Default: all.")
@click.option(
    "--size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Set the height and width of the image in pixels. Default: the weights' own.",
)
@json_option
@quiet_option
@key_option
@map_option
def command(
    file: Path | None, variant: str | None, size: int | None, key: str | None, as_json: JsonOutput | None, quiet: bool
) -> None:
    """Show parameters, multiply-adds and FLOPs by every convention, beside every published table.

    FILE is a checkpoint of any framework: its values are counted, and it tells variant and classes; or it is the name
    of a variant. Each published figure is compared at its own image size. Exit code 6: a reliable published figure
    differs.

    Example: effconvert cost --variant b0
    """
    from effconvert.architecture.variants import VARIANTS
    from effconvert.validate.cost_report import check_published, file_cost, report_cost, variant_meant

    if file and variant:
        raise click.UsageError("FILE tells its variant; leave out --variant")
    if file and (meant := variant_meant(file)):
        file, variant = None, meant.name
    if file:
        reports = [file_cost(file, key.encode() if key else None, size)]
    else:
        chosen = [find_variant(variant)] if variant else list(VARIANTS.values())
        reports = [report_cost(each, size=size) for each in chosen]
    as_values = {"schema": "effconvert/costs/1", "networks": [report.to_dict() for report in reports]}
    if not put_json(as_json, as_values) and not quiet:
        print_reports(reports)
    check_published(reports)


def print_reports(reports: list["CostReport"]) -> None:
    """Print one network in full, or several with one line each, and the figures that differ."""
    if len(reports) == 1:
        _print_report(reports[0])
        return
    rows = [
        [
            report.variant,
            report.size,
            f"{report.parameters:,}",
            f"{report.parameters + report.statistics:,}",
            *(f"{report.operations[name]:,}" if name in report.operations else None for name in _SHOWN),
            f"{sum(comparison.equal for comparison in report.comparisons)} of {len(report.comparisons)}",
        ]
        for report in reports
    ]
    headers = ["variant", "size", "parameters", "with statistics", *_SHOWN, "as published"]
    print_table(headers, rows, "l" + "r" * (len(headers) - 1), drop=("with statistics", *reversed(_SHOWN[1:])))
    remarkable = [each for report in reports for each in report.comparisons if each.misplaced or not each.equal]
    say()
    say("Published figures that differ from the calculated ones at their size:")
    _print_figures(remarkable)


def _print_report(report: "CostReport") -> None:
    from effconvert.costs.conventions import CONVENTIONS

    everything = f"{report.parameters + report.statistics:,} with BatchNorm's statistics"
    print_pairs(
        [
            *([("file", str(report.path))] if report.path else []),
            (
                "variant",
                f"{report.variant}, {report.facts.classes:,} classes{_channels_text(report.facts.in_channels)}",
            ),
            ("parameters", f"{report.parameters:,} trainable, {everything}"),
        ]
    )
    rows = [[name, f"{count:,}", CONVENTIONS[name].counter] for name, count in report.operations.items()]
    headers = ["convention", f"at {report.size} px", "who counts so"]
    say()
    print_table(headers, rows, "lrl", below=("who counts so",))
    say()
    classes = {comparison.row.classes for comparison in report.comparisons}
    if report.facts.classes not in classes or report.facts.in_channels != 3:
        say("Published figures are of the published classes, and of three input channels:")
    _print_figures(list(report.comparisons))


def _channels_text(channels: int) -> str:
    return "" if channels == 3 else f", {channels} input {'channel' if channels == 1 else 'channels'}"


def _print_figures(comparisons: list["Comparison"]) -> None:
    """Print published figures beside the calculated ones, with verdicts and sources."""
    headers = ["variant", "published by", "size", "figure", "theirs", "ours", "verdict"]
    rows = [
        [
            comparison.row.variant,
            comparison.row.kind,
            comparison.row.size,
            _PARAMETERS.get(comparison.convention, comparison.convention),
            f"{comparison.published:,}",
            f"{comparison.ours:,}",
            comparison.verdict,
        ]
        for comparison in comparisons
    ]
    print_table(headers, rows, "llrlrrl", below=("verdict",), drop=("size",))

"""`effconvert list`: the published weights."""

from dataclasses import asdict

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.terminal import print_table
from effconvert.cli.options.names import VARIANT, Choice
from effconvert.cli.options.shared import json_option
from effconvert.reference_tables.publishers import publisher_called
from effconvert.reference_tables.weights import FRAMEWORKS


@click.command("list", cls=Command)
@click.option(
    "--framework",
    type=Choice(FRAMEWORKS, publisher_called),
    metavar="FRAMEWORK",
    help=f"List weights of this framework only: {', '.join(FRAMEWORKS)}. Default: all.",
)
@click.option("--variant", type=VARIANT, help="List weights of this variant only, e.g. b0. Default: all.")
@json_option
def command(framework: str | None, variant: str | None, as_json: JsonOutput | None) -> None:
    """List the published weights: name, native size, parameters, multiply-adds, accuracy, source.

    Accuracies are those of the framework's own repository, ImageNet top-1 and top-5 in percent. Fetch and convert any
    of them with `effconvert convert --published NAME`.

    Example: effconvert list --framework tensorflow
    """
    from effconvert.hub.catalogue import catalogue_rows

    rows = catalogue_rows([framework] if framework else FRAMEWORKS)
    rows = [row for row in rows if variant in (None, row.variant)]
    if put_json(as_json, {"schema": "effconvert/weights/1", "weights": [asdict(row) for row in rows]}):
        return
    headers = ["--published", "size", "parameters", "MACs", "top-1", "top-5", "source"]
    table = [
        [
            row.published,
            row.size,
            f"{row.parameters / 1e6:.2f} M",
            f"{row.macs / 1e9:.2f} G",
            _accuracy(row.top1),
            _accuracy(row.top5),
            row.url.removeprefix("https://"),
        ]
        for row in rows
    ]
    print_table(headers, table, "lrrrrrl", drop=("source",))


def _accuracy(value: float | None) -> str | None:
    """Return an accuracy with the digits that it was published with, at least one."""
    return None if value is None else f"{value:.1f}" if value == round(value, 1) else f"{value:g}"

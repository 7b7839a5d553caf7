"""`effconvert list`: the published weights."""

from dataclasses import asdict

import click

from effconvert.cli.options import json_option
from effconvert.cli.output import print_json


@click.command("list")
@json_option
def command(as_json: bool) -> None:
    """List the published weights: native size, parameters, multiply-adds, accuracy, source.

    Accuracies are those that the official repository publishes, ImageNet top-1 and top-5 in percent.

    Example: effconvert list
    """
    from tabulate import tabulate

    from effconvert.catalogue import catalogue_rows

    rows = catalogue_rows()
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    headers = ["variant", "weights", "size", "parameters", "MACs", "top-1", "top-5", "source"]
    table = [
        [
            row.variant,
            row.weights,
            row.size,
            f"{row.parameters / 1e6:.2f} M",
            f"{row.macs / 1e9:.2f} G",
            row.top1,
            row.top5,
            row.url.removeprefix("https://"),
        ]
        for row in rows
    ]
    aligned = ("left", "left", "right", "right", "right", "right", "right", "left")
    click.echo(tabulate(table, headers, colalign=aligned, missingval="-", floatfmt="g"))

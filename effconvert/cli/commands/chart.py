"""`effconvert chart`: one picture of a report."""

from pathlib import Path
from typing import Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.terminal import say
from effconvert.cli.options.names import Choice
from effconvert.cli.options.shared import PATH, force_option, out_option, quiet_option
from effconvert.report.pictures import PICTURES, check_picture, write_picture


@click.command("chart", cls=Command)
@click.argument("picture", type=Choice(PICTURES), metavar="PICTURE")
@click.argument("runs", type=PATH, nargs=-1)
@click.option("--verify", "verifications", type=PATH, multiple=True, help="Add a file of `verify --json`. Repeatable.")
@click.option("--published", is_flag=True, help="Draw published numbers only, without a run.")
@click.option("--network", metavar="NAME", help="Choose the network for layers. Default: the one that differs most.")
@out_option("Write this file: .svg, .pdf, .png, or .csv with the numbers. Default: PICTURE.svg.")
@force_option
@quiet_option
def command(
    picture: str,
    runs: tuple[Path, ...],
    verifications: tuple[Path, ...],
    published: bool,
    network: str | None,
    out: Path | None,
    force: bool,
    quiet: bool,
) -> None:
    """Draw one picture of a report, or write its numbers.

    \b
    accuracy     top-1 and top-5 of each variant, published and measured
    cost         accuracy against multiply-adds and parameters
    layers       how far each layer of a verified network is from its source
    agreement    how often two networks have the same top-1
    differences  measured beside published accuracies
    throughput   where the time of a run went

    RUNS are files that `validate` wrote.

    Example: effconvert chart cost --published --out cost.svg
    """
    if published == bool(runs or verifications):
        raise click.UsageError("give runs of `validate` or --verify files, or only --published")
    if network and picture != "layers":
        raise click.UsageError("--network is only for layers; the other pictures show all networks")
    out = out or Path(f"{picture}.svg")
    check_picture(out, force)
    from effconvert.report.document import build_report, published_report

    report = published_report() if published else build_report(runs, verifications)
    document = report.to_dict()
    text = write_picture(document, f"layers-{_id(document, network)}" if network else picture, out, force)
    if not quiet:
        say(text)
        say(f"written: {out}")


def _id(document: dict[str, Any], name: str) -> str:
    """Return the id of the verification with this id, or of the network with this name that differs most."""
    from effconvert.report.pictures.layers import verified

    networks = {network["name"]: network for network in document["networks"]}
    ids: dict[str, str] = {}
    for one in verified(document):  # the largest difference comes first
        for known in (one.id, one.network, networks[one.network]["id"]):
            ids.setdefault(known, one.id)
    if name not in ids:
        raise click.UsageError(f"--network {name!r} is not verified; known are {', '.join(map(repr, ids)) or 'none'}")
    return ids[name]

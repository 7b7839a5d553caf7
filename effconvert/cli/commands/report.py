"""`effconvert report`: a report on runs and verifications beside published numbers, as a page and as data."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from effconvert.atomic import check_folder_name, check_output
from effconvert.cli.click_classes import Command, more_option
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.terminal import BAD, DOUBTFUL, GOOD, columns, print_table, say, say_line
from effconvert.cli.options.names import Choice
from effconvert.cli.options.shared import PATH, force_option, json_option, map_option, out_option, quiet_option
from effconvert.report.schema import SCHEMAS, schema_text

if TYPE_CHECKING:
    from effconvert.report.contents.network import Network
    from effconvert.report.contents.report import Report

_SHOWN = 10  # networks; the page has all
_MEANINGS = {"passed": GOOD, "near": DOUBTFUL, "failed": BAD}


def _print_schema(context: click.Context, _: click.Parameter, name: str | None) -> None:
    """Print a schema and exit."""
    if name and not context.resilient_parsing:
        click.echo(schema_text(name), nl=False)
        context.exit()


@click.command("report", cls=Command)
@click.argument("runs", type=PATH, nargs=-1, metavar="[RUN]...")
@click.option("--verify", "verifications", type=PATH, multiple=True, help="Add a file of `verify --json`. Repeatable.")
@click.option("--published", is_flag=True, help="Report published numbers only, without a run.")
@out_option("Write this folder.", default="effconvert-report", show_default=True)
@more_option(
    "--schema",
    type=Choice(SCHEMAS),
    is_eager=True,
    expose_value=False,
    callback=_print_schema,
    help="Print the JSON Schema of a report, a run's record or a verification, and exit.",
)
@click.option("--open", "opened", is_flag=True, help="Open the page in a browser.")
@map_option
@force_option
@json_option
@quiet_option
def command(
    runs: tuple[Path, ...],
    verifications: tuple[Path, ...],
    published: bool,
    out: Path,
    opened: bool,
    force: bool,
    as_json: JsonOutput | None,
    quiet: bool,
) -> None:
    """Write measured numbers beside published ones: a page, tables, pictures, and files for model hubs.

    RUNs are files that `validate` wrote, in effconvert-runs/. A file of `verify --json` belongs to the runs of the
    verified file, even if that was renamed; it may also be alone. --out gets report.html, report.md, report.json,
    tables as CSV and pictures, all of them or none.

    Exit code 3: an input is not valid; every wrong place in it is named.

    \b
    Examples:
      effconvert report effconvert-runs/*.npz --verify b0.json
      effconvert report --published
    """
    if published == bool(runs or verifications):
        raise click.UsageError("give runs of `validate` or --verify files, or only --published")
    check_folder_name(out)
    check_output(out, force)
    from effconvert.report.document import build_report, published_report

    document = published_report() if published else build_report(runs, verifications)
    from effconvert.report.writing import write_report  # slow to import; the inputs are good

    written = write_report(document, out, force)
    page = next((path for path in written if path.suffix == ".html"), out)
    if not put_json(as_json, document.to_dict()) and not quiet:
        _print(document, page)
    if opened:
        click.launch(str(page))


def _print(document: "Report", page: Path) -> None:
    say(document.sentence)
    networks = document.networks
    if networks:
        say()
        _print_verdicts(sorted(networks, key=_worst)[:_SHOWN])
        if len(networks) > _SHOWN:
            say(f"… and {len(networks) - _SHOWN:,} more networks")
        for words in document.agreement.uncompared if document.agreement else ():
            say(f"agreement: {words}")
        say()
    say(f"written: {page}" + ("  (--open shows it in a browser)" if columns() else ""))


def _print_verdicts(networks: "Sequence[Network]") -> None:
    checks = [check.check for check in networks[0].verdicts]
    images = [f"{each.accuracy.top1.images:,}" if each.accuracy else None for each in networks]
    table = [
        [each.name, _top1(each), number, *(_word(check.verdict) for check in each.verdicts)]
        for each, number in zip(networks, images, strict=True)
    ]
    aligned = f"lrr{'l' * len(checks)}"
    print_table(["network", "top-1 %", "images", *checks], table, aligned, below=checks, meanings=_MEANINGS)
    for line, command in _reasons(networks):
        say(line)
        if command:
            say_line(command)


def _top1(network: "Network") -> str | None:
    """Return the measured top-1 of a network; None if it was not measured."""
    from effconvert.validate.accuracy.decimals import places

    if network.accuracy is None:
        return None
    top1 = network.accuracy.top1
    return f"{top1.percent:.{places(top1.images)}f}"


def _worst(network: "Network") -> int:
    """Return a sort key for networks: those that failed come first."""
    return {"failed": 0, "near": 1}.get(network.summary.verdict, 2)


def _word(verdict: str) -> str:
    return verdict if verdict != "not measured" else "-"


def _reasons(networks: "Sequence[Network]") -> Iterator[tuple[str, str]]:
    """Yield why checks failed or were close, each reason of a network once, and the causes that are known.

    With each comes the command that mends it, or "".
    """
    from effconvert.report.causes import cause_words, fix_and_command, missing_cause

    for network in networks:
        said: dict[str, list[str]] = {}
        for check in network.verdicts:
            if check.verdict in ("failed", "near"):
                said.setdefault(check.reason, []).append(f"{check.check} {check.verdict}")
        for reason, words in said.items():
            yield f"{network.name}: {', '.join(words)}: {reason}", ""
        for verification in network.verifications:
            for cause in verification.causes:
                fix, command = fix_and_command(cause)
                yield f"{network.name}: cause: {cause_words(cause)}; fix: {fix}", command
            if missing := missing_cause(verification):
                yield f"{network.name}: cause: {missing}", ""

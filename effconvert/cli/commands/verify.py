"""`effconvert verify`: comparison of a converted file with its source, run by the real framework."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from effconvert.cli.display.output import check_json_file, json_written, printable, warn
from effconvert.cli.display.verdicts import print_comparisons, print_verdict
from effconvert.cli.options.running import (
    FRAMEWORKS,
    given_images,
    given_pythons,
    given_reading,
    images_options,
    python_option,
    reading_options,
)
from effconvert.cli.options.shared import PATH, path_argument, quiet_option
from effconvert.errors import NumericMismatch

if TYPE_CHECKING:
    from effconvert.verification.procedure import Verification


@click.command("verify")
@path_argument("converted")
@click.option(
    "--against",
    type=PATH,
    required=True,
    metavar="SOURCE",
    help="Compare with this file, the source of the conversion.",
)
@click.option(
    "--framework", type=click.Choice(["auto", *FRAMEWORKS]), default="auto", help="Run the source in this framework."
)
@click.option("--layers", is_flag=True, help="Print every layer, not only the most informative ones.")
@click.option("--explain", is_flag=True, help="After a mismatch, try the known causes and show the right one.")
@images_options
@reading_options
@python_option
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, min_open=True),
    help="Set the tolerance, e.g. 1e-4. Default: by the dtype of the weights.",
)
@click.option("--no-float64", is_flag=True, help="Skip the float64 reference, which is slow on the largest networks.")
@click.option("--keep", type=PATH, metavar="FOLDER", help="Keep the runs in this folder, for `effconvert compare`.")
@click.option(
    "--json",
    "json_file",
    type=PATH,
    metavar="FILE",
    help="Also write the whole result to this file, and replace it if it exists.",
)
@quiet_option
def command(
    converted: Path,
    against: Path,
    framework: str,
    layers: bool,
    explain: bool,
    pythons: tuple[str, ...],
    tolerance: float | None,
    no_float64: bool,
    keep: Path | None,
    json_file: Path | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Check that CONVERTED is the same network as its source.

    The source's real framework runs the source. The canonical network, and the library with the layout of CONVERTED,
    run CONVERTED. Each runs in a separate process, on the same images, and layers are compared. The options for reading
    a file are for the source. Exit code 0: the same function; 5: another, or not verifiable.

    \b
    Example: effconvert verify own.safetensors --against effconvert-demo/efficientnet-b0
    """
    from effconvert.verification.procedure import verify
    from effconvert.verification.record import describe_verification

    started = time.monotonic()
    if json_file:
        check_json_file(json_file)
    reading, key = given_reading(options)
    found = verify(
        converted,
        against,
        framework=framework,
        images=given_images(options),
        reading=reading,
        key=key,
        pythons=given_pythons(pythons),
        tolerance=tolerance,
        in_float64=not no_float64,
        causes=explain,
        keep=keep,
    )
    if json_file:
        json_written(json_file, describe_verification(found, time.monotonic() - started))
    if not quiet:
        _print(found, layers)
    if not found.same:
        sys.exit(NumericMismatch.exit_code)


def _print(found: "Verification", layers: bool) -> None:
    from effconvert.verification.trials import in_words

    reference = found.reference
    click.echo(printable(f"{found.source.path}: run by {reference['framework']}, {reference['network']}"))
    click.echo(
        printable(f"  read by {reference['loader']}; {found.source.facts.in_words(found.source.identity.assumed)}")
    )
    for pair in found.verdict.pairs:
        click.echo(printable(f"{found.converted.path}: run by {pair.framework}, {pair.network}"))
    click.echo(printable(f"  {found.converted.facts.in_words(found.converted.identity.assumed)}"))
    words = found.inputs.words
    kind = f"synthetic images (seed {words['seed']})" if words["kind"] == "synthetic" else f"of {words['of']:,} images"
    size = f"{words['size']} px"
    click.echo(
        f"on {words['count']} {kind}, {size}; sensitivity of the source's network {found.verdict.sensitivity:.2f}"
    )
    print_comparisons(reference["framework"], found.verdict, layers)
    for rounding in found.roundings:
        worst = f"{rounding.worst:.1e} at {rounding.layer}"
        click.echo(f"rounding, against float64: {rounding.framework} {rounding.outputs:.1e}, at most {worst}")
    if found.rounding_cost is not None:
        moved = f"moves the outputs by {found.rounding_cost:.1e} of the largest"
        click.echo(f"rounding the weights to {found.verdict.rounded} {moved}")
    for caution in found.cautions:
        warn(caution)
    print_verdict(found.verdict)
    for name, (source, differs) in found.tensors.items():
        click.echo(printable(f"  {name} <- {source}{': values differ' if differs else ''}"))
    if found.judgement:
        click.echo(printable(found.judgement))
    if found.trials:
        alone = found.verdict.failing if found.library_alone else None
        if alone:
            click.echo(f"tried on the canonical network, to find what {alone.framework} does differently:")
        _print_trials(found)
        click.secho(printable(in_words(found.trials)), bold=True)


def _print_trials(found: "Verification") -> None:
    from tabulate import tabulate

    rows = [
        [
            trial.words,
            trial.change if trial.effect else "no effect here",
            f"{trial.difference:.1e}" if trial.effect else "",
            "vanishes" if trial.vanishes else "",
        ]
        for trial in found.trials
    ]
    click.echo(tabulate(rows, ["known cause", "tried", "difference after it", ""], disable_numparse=True))

"""`effconvert verify`: comparison of a converted file with its source, run by the real framework."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from effconvert.architecture.canonical import CANONICAL
from effconvert.cli.click_classes import Command, more_option
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.progress import steps
from effconvert.cli.display.verdicts import print_verification
from effconvert.cli.options.names import Choice
from effconvert.cli.options.running import (
    FRAMEWORKS,
    framework_choice,
    given_images,
    given_pythons,
    given_reading,
    images_options,
    python_option,
    reading_options,
)
from effconvert.cli.options.shared import PATH, json_option, path_argument, quiet_option
from effconvert.errors import NumericMismatch


@click.command("verify", cls=Command)
@path_argument("converted")
@click.option(
    "--against",
    type=PATH,
    required=True,
    metavar="SOURCE",
    help="Compare with this file, the source of the conversion.",
)
@click.option(
    "--framework",
    type=framework_choice("auto"),
    default="auto",
    metavar="FRAMEWORK",
    help=f"Run the source in this framework: {', '.join(FRAMEWORKS)}. Default: the framework of the file.",
)
@click.option(
    "--canonical-only",
    is_flag=True,
    help="Run CONVERTED only as effconvert's own network, not in its library, which then need not be installed.",
)
@click.option("--layers", is_flag=True, help="Print every layer. Default: the most informative ones, after a mismatch.")
@click.option("--explain", is_flag=True, help="Try the known causes after a mismatch, and show the right one.")
@images_options
@reading_options
@python_option
@more_option(
    "--tolerance",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="N",
    help="Set the tolerance, e.g. 1e-4. Default: by the dtype of the weights.",
)
@more_option("--no-float64", is_flag=True, help="Skip the float64 reference, which is slow on the largest networks.")
@more_option(
    "--input-range",
    type=Choice(("normalised", "0-1", "0-255")),
    help="Say what numbers an ONNX or TFLite file takes. Default: as its graph tells.",
)
@more_option("--input-bgr", is_flag=True, help="Say that an ONNX or TFLite file takes blue first.")
@more_option("--keep", type=PATH, metavar="FOLDER", help="Keep the runs in this folder, for `effconvert compare`.")
@json_option
@quiet_option
def command(
    converted: Path,
    against: Path,
    framework: str,
    canonical_only: bool,
    layers: bool,
    explain: bool,
    pythons: tuple[str, ...],
    tolerance: float | None,
    no_float64: bool,
    keep: Path | None,
    input_range: str | None,
    input_bgr: bool,
    as_json: JsonOutput | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Check that CONVERTED is the same network as its source.

    The source's real framework runs the source. The canonical network, and the library with the layout of CONVERTED,
    run CONVERTED. Each runs in a separate process, on the same images, and layers are compared. The options for reading
    a file are for the source. An ONNX or TFLite file is run by its own runtime, against the weights it was made of.
    Exit code 0: the same function; 5: another, or not verifiable.

    Example: effconvert verify own.safetensors --against efficientnet-b0
    """
    from effconvert.deployed.files import framework_of_file

    reading, key = given_reading(options)
    given: dict[str, Any] = {"images": given_images(options), "pythons": given_pythons(pythons)}
    given |= {"reading": reading, "key": key, "tolerance": tolerance, "causes": explain}
    if framework_of_file(converted):
        _refuse("ONNX and TFLite files", keep=keep, no_float64=no_float64, canonical_only=canonical_only)
        given |= {"framework": framework.replace("auto", CANONICAL), "input_range": input_range, "input_bgr": input_bgr}
        same = _verify_deployed(converted, against, given, layers, as_json, quiet)
    else:
        _refuse("weights", input_range=input_range, input_bgr=input_bgr)
        given |= {"framework": framework, "in_float64": not no_float64, "keep": keep, "canonical_only": canonical_only}
        same = _verify(converted, against, given, layers, as_json, quiet)
    if not same:
        sys.exit(NumericMismatch.exit_code)


def _verify(
    converted: Path, against: Path, given: dict[str, Any], layers: bool, as_json: JsonOutput | None, quiet: bool
) -> bool:
    from effconvert.verification.procedure import verify
    from effconvert.verification.record import describe_verification

    started = time.monotonic()
    with steps(quiet) as begin:
        found = verify(converted, against, progress=begin, **given)
    if not put_json(as_json, describe_verification(found, time.monotonic() - started)) and not quiet:
        print_verification(found, layers)
    return found.same


def _verify_deployed(
    file: Path, against: Path, given: dict[str, Any], layers: bool, as_json: JsonOutput | None, quiet: bool
) -> bool:
    from effconvert.cli.display.deployed import print_deployed
    from effconvert.verification.deployed_procedure import verify_deployed

    with steps(quiet) as begin:
        found = verify_deployed(file, against, progress=begin, **given)
    if not put_json(as_json, found.to_dict()) and not quiet:
        print_deployed(found, layers)
    return found.same


def _refuse(kind: str, **options: Any) -> None:
    """Raise click's usage error for a given option that has no meaning for that kind of file."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if given:
        raise click.UsageError(f"{' and '.join(given)}: not for {kind}")

"""`effconvert compare`: two saved runs, without either framework."""

import sys
from pathlib import Path

import click

from effconvert.cli.options import json_option, path_argument, quiet_option
from effconvert.cli.output import print_json, printable
from effconvert.cli.verdicts import print_comparisons, print_verdict
from effconvert.errors import NumericMismatch


@click.command("compare")
@path_argument("run_a")
@path_argument("run_b")
@click.option("--layers", is_flag=True, help="Print every layer and not only those that tell most.")
@click.option("--tolerance", type=click.FloatRange(0, 1, min_open=True), help="Instead of the weights' dtype's.")
@json_option
@quiet_option
def command(run_a: Path, run_b: Path, layers: bool, tolerance: float | None, as_json: bool, quiet: bool) -> None:
    """Compare two saved runs, layer by layer; RUN_A is the reference.

    If RUN_B was made with --follow RUN_A, each layer is compared from RUN_A's own input too, so that the guilty one
    stands out. Exit code 0: the same function; 5: another, or not verifiable.

    Example: effconvert compare own-run.npz own-timm-run.npz
    """
    from effconvert.verification.runs import open_run
    from effconvert.verification.verdict import RELAXED, SAME, reach_verdict

    with open_run(run_a) as reference, open_run(run_b) as found:
        verdict = reach_verdict(reference, [found], tolerance)
        if as_json:
            print_json(verdict.to_dict() | {"schema": "effconvert/comparison/1", "reference": reference.words})
        elif not quiet:
            print_comparisons(reference.words, verdict, layers)
            first = verdict.first
            print_verdict(verdict)
            for name, source in reference.tensors_of(first.layer).items() if first else ():
                click.echo(printable(f"  {name} <- {source}"))
    if verdict.word not in (SAME, RELAXED):
        sys.exit(NumericMismatch.exit_code)

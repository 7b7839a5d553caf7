"""`effconvert compare`: two saved runs, of layers or of a data set, without their frameworks."""

import sys
from pathlib import Path

import click

from effconvert.cli.click_classes import Command, more_option
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.prediction_verdicts import print_prediction_comparison
from effconvert.cli.display.terminal import print_pairs, say
from effconvert.cli.display.verdicts import measured, print_comparisons, print_first, print_headline
from effconvert.cli.options.shared import json_option, path_argument, quiet_option
from effconvert.errors import NumericMismatch, UnreadableCheckpoint


@click.command("compare", cls=Command)
@path_argument("run_a")
@path_argument("run_b")
@click.option("--layers", is_flag=True, help="Print every layer, not only the most informative ones.")
@more_option(
    "--tolerance",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="N",
    help="Set the tolerance, e.g. 1e-4. Default: by the dtype of the weights.",
)
@json_option
@quiet_option
def command(
    run_a: Path, run_b: Path, layers: bool, tolerance: float | None, as_json: JsonOutput | None, quiet: bool
) -> None:
    """Compare two saved runs; RUN_A is the reference.

    Two files of `run`: layers are compared. If RUN_B was made with --follow RUN_A, each layer is also compared with
    RUN_A's input, which finds the layer that is wrong. Exit code 0: the same function; 5: another, or not verifiable.

    Two files of `validate`: predictions are compared, image by image. Exit code 0: every image has the same top-1; 5:
    some differ.

    Example: effconvert compare own-run.npz own-timm-run.npz
    """
    if _hold_predictions(run_a, run_b):
        if layers or tolerance is not None:
            raise click.UsageError("--layers and --tolerance are for files of `run`; these files hold predictions")
        same = _compare_predictions(run_a, run_b, as_json, quiet)
    else:
        same = _compare_layers(run_a, run_b, layers, tolerance, as_json, quiet)
    if not same:
        sys.exit(NumericMismatch.exit_code)


def _hold_predictions(run_a: Path, run_b: Path) -> bool:
    """Return whether both files hold predictions. Raises click's usage error if only one does."""
    from effconvert.validate.predictions import is_predictions
    from effconvert.verification.runs import open_run

    for path in (run_a, run_b):
        if path.suffix.startswith(".part-") and path.exists():
            raise UnreadableCheckpoint(f"{path}: an unfinished run of `validate`; finish it with --resume")
    found = {path: is_predictions(path) for path in (run_a, run_b)}
    if all(found.values()) or not any(found.values()):
        return all(found.values())
    predictions, other = sorted(found, key=lambda path: not found[path])
    with open_run(other):  # raises an error for a file of neither kind
        raise click.UsageError(f"{predictions} holds predictions, but {other} layers; give two files of one kind")


def _compare_predictions(run_a: Path, run_b: Path, as_json: JsonOutput | None, quiet: bool) -> bool:
    from effconvert.validate.accuracy.prediction_comparison import compare_predictions
    from effconvert.validate.predictions import read_predictions

    a, b = read_predictions(run_a), read_predictions(run_b)
    found = compare_predictions(a, b)
    if not put_json(as_json, found.to_dict() | {"a": a.record, "b": b.record}) and not quiet:
        print_prediction_comparison(a, b, found)
    return not found.changed


def _compare_layers(
    run_a: Path, run_b: Path, layers: bool, tolerance: float | None, as_json: JsonOutput | None, quiet: bool
) -> bool:
    from effconvert.verification.runs import open_run
    from effconvert.verification.verdict import RELAXED, SAME, reach_verdict

    with open_run(run_a) as reference, open_run(run_b) as found:
        verdict = reach_verdict(reference, [found], tolerance)
        as_values = verdict.to_dict() | {"schema": "effconvert/comparison/1", "reference": reference.words}
        if not put_json(as_json, as_values) and not quiet:
            print_headline(verdict)
            say()
            print_pairs([("measured", measured(verdict))])
            print_comparisons(reference.words, verdict, layers)
            tensors = reference.tensors_of(verdict.first.layer) if verdict.first else {}
            print_first({name: (source, False) for name, source in tensors.items()})
    return verdict.word in (SAME, RELAXED)

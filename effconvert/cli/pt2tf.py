"""`effconvert pt2tf`: a canonical file becomes a TensorFlow checkpoint again."""

from pathlib import Path

import click

from effconvert.cli.options import (
    PATH,
    facts_option,
    force_option,
    given_facts,
    json_option,
    path_argument,
    quiet_option,
)
from effconvert.cli.output import print_report, progress_bars


@click.command("pt2tf")
@path_argument("file")
@click.option("--out", type=PATH, required=True, help="The folder to write.")
@click.option(
    "--names",
    type=click.Choice(["raw", "average", "both"]),
    help="Which tensors to write; the official evaluation restores averages. Default: both, of raw weights raw.",
)
@facts_option
@force_option
@json_option
@quiet_option
def command(
    file: Path, out: Path, names: str | None, assignments: tuple[str, ...], force: bool, as_json: bool, quiet: bool
) -> None:
    """Convert a converted file back to a TensorFlow V2 checkpoint.

    The folder then holds model.ckpt.index, model.ckpt.data-00000-of-00001 and checkpoint, under the official names;
    tf.train.load_checkpoint and the official evaluation restore it.

    Example: effconvert pt2tf b0.safetensors --out b0-tensorflow
    """
    from effconvert.conversion import convert

    with progress_bars(quiet or as_json) as bar:
        facts = given_facts(assignments)
        report = convert(file, out, to="tf-official", names=names, facts=facts, force=force, progress=bar("converting"))
    print_report(report, as_json, quiet)

"""`effconvert demo`: the whole way on a small example."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from effconvert.cli.options import PATH, force_option

if TYPE_CHECKING:
    from effconvert.demo import Demo


@click.command("demo")
@click.option("--out", type=PATH, default="effconvert-demo", show_default=True, help="The folder to write.")
@force_option
def command(out: Path, force: bool) -> None:
    """Show the whole way on a small example, without a network.

    A TensorFlow checkpoint of a small network is made, converted to PyTorch, converted back, compared bit for bit, and
    run on two images. Some more images are written, to try the other commands on, and a page of what was published.

    Example: effconvert demo
    """
    from effconvert.demo import run_demo

    click.echo("Making a TensorFlow checkpoint of a calibrated random B0 and converting it …", err=True)
    _print_demo(run_demo(out, force))


def _print_demo(demo: "Demo") -> None:
    from effconvert.cli.inspect_ import print_inspection
    from effconvert.cli.output import print_report

    _heading(f"1. The TensorFlow checkpoint: effconvert inspect {demo.checkpoint}")
    print_inspection(demo.source, shown=4)
    _heading(f"2. Converted: effconvert tf2pt --checkpoint {demo.checkpoint} --out {demo.converted}")
    print_report(demo.report, as_json=False, quiet=False)
    _heading(f"3. The PyTorch file: effconvert inspect {demo.converted}")
    print_inspection(demo.result, shown=4)
    _heading("4. Proved")
    click.echo(f"converted back to TensorFlow, {demo.returned:,} of {demo.returned:,} tensors are equal bit for bit")
    click.echo(f"the converted network's logits differ from the original's by {demo.difference:.1e} of the largest")
    click.echo(f"sensitivity {demo.sensitivity:.2f}: two images change the logits by this share of their range")
    _heading("Now try")
    click.echo(f"{_program()} pt2tf {demo.converted} --out b0-tensorflow")
    click.echo(f"{_program()} validate --data {demo.images} {demo.converted}")
    click.echo(f"{_program()} list")
    click.echo(f"{_program()} tf2pt --variant b0    # downloads the published weights")
    _heading("What others published, and where they disagree: open this page in a browser")
    click.echo(demo.page.absolute().as_uri())


def _program() -> str:
    """Return what to type: the bare name where the shell finds it, else the path, as after `make demo`."""
    return "effconvert" if shutil.which("effconvert") else os.path.relpath(sys.argv[0])


def _heading(text: str) -> None:
    click.echo()
    click.secho(text, bold=True)
    click.echo()

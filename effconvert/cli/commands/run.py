"""`effconvert run`: saved outputs of one network."""

from pathlib import Path
from typing import Any

import click

from effconvert.architecture.canonical import CANONICAL
from effconvert.cli.click_classes import Command
from effconvert.cli.display.progress import steps
from effconvert.cli.display.terminal import print_pairs, say
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
from effconvert.cli.options.shared import PATH, force_option, out_option, path_argument, quiet_option
from effconvert.report.renderings.numbers_text import size as size_text


@click.command("run", cls=Command)
@path_argument("file")
@click.option(
    "--framework",
    type=framework_choice("auto", CANONICAL),
    default="auto",
    metavar="FRAMEWORK",
    help=f"Run FILE in this framework: {', '.join(FRAMEWORKS)}, or canonical, effconvert's own PyTorch network. "
    "Default: the framework of the file.",
)
@out_option("Write this .npz file.", metavar="RUN")
@click.option(
    "--follow",
    type=PATH,
    metavar="RUN",
    help="Use the images of another run, and run each layer also with its input in that run.",
)
@click.option(
    "--prepare", type=PATH, metavar="FOLDER", help="Run nothing; write the files to do it on another machine."
)
@images_options
@reading_options
@python_option
@force_option
@quiet_option
def command(
    file: Path,
    framework: str,
    out: Path | None,
    follow: Path | None,
    prepare: Path | None,
    pythons: tuple[str, ...],
    force: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Run one network on images and save the output of every layer, for `effconvert compare`.

    The framework runs in a separate process and loads FILE with its own loader if it can. With --prepare, FOLDER gets
    the runner, its settings and the images, which need only the framework and numpy; the command to type there is
    printed.

    Example: effconvert run own-timm.pth --framework timm --out own-timm-run.npz
    """
    from effconvert.verification.execution import name_elsewhere, prepare_run, save_run
    from effconvert.verification.inputs import Images

    if (out is None) is (prepare is None):
        raise click.UsageError("give --out to run it here, or --prepare to run it elsewhere")
    reading, key = given_reading(options)
    images, programs = given_images(options), given_pythons(pythons)
    if follow and images != Images():
        raise click.UsageError("--follow uses the images of that run: leave out --images, --count, --seed and --size")
    if prepare:
        command_line = prepare_run(file, framework, prepare, reading, key, images, follow, force)
        name = name_elsewhere(file)
        say(f"{prepare} is ready: copy it to the other machine, put {name} there, and type:")
        click.echo(command_line)
        return
    assert out
    with steps(quiet, transient=True) as begin:
        begin(f"running {file}")
        saved = save_run(file, framework, out, reading, key, images, follow, programs, force)
    if not quiet:
        sensitivity = "one image" if saved.sensitivity is None else f"{saved.sensitivity:.2f}"
        print_pairs(
            [
                ("network", f"{saved.framework}: {saved.network}"),
                ("loaded by", saved.loader),
                ("facts", saved.facts),
                ("images", f"{saved.images}; sensitivity {sensitivity}"),
                ("written", f"{out}: {saved.layers} layers, {size_text(saved.nbytes)}"),
                *(("warning", words) for words in saved.cautions),
            ]
        )

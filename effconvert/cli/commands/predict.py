"""`effconvert predict`: the classes of images."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.engines import engine_pairs
from effconvert.cli.display.json_output import JsonOutput, put_json
from effconvert.cli.display.terminal import STRONG, print_pairs, print_table, say
from effconvert.cli.display.words import recipe_text
from effconvert.cli.options.asking import asking_options, given_question, images_argument
from effconvert.cli.options.running import engine_option
from effconvert.cli.options.shared import PATH, json_option, path_argument, quiet_option

if TYPE_CHECKING:
    from effconvert.validate.inference.classification import Classification, SeenClass

_ALIGNED = {"index": "r", "class": "l", "synset": "l", "probability": "r", "logit": "r"}
_HEADERS = tuple(_ALIGNED)


@click.command("predict", cls=Command)
@path_argument("file")
@images_argument
@click.option(
    "--top",
    type=click.IntRange(1),
    metavar="N",
    default=5,
    show_default=True,
    help="Show this many classes for each image.",
)
@click.option("--classes", type=PATH, metavar="NAMES", help="Read the names of the classes from this file.")
@asking_options
@engine_option
@json_option
@quiet_option
def command(
    file: Path,
    images: tuple[Path, ...],
    top: int,
    classes: Path | None,
    as_json: JsonOutput | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Predict the classes of images with the network in FILE, which has any layout.

    IMAGE is a file, or a folder with images. They are prepared by the recipe in the file, or as its library does. Names
    are those of --classes, else those of the weights, else ImageNet's if there are 1000 classes; with 1001, the first
    is the background. Each class is shown with its probability and its logit.

    Example: effconvert predict own.safetensors cat.jpg
    """
    from effconvert.validate.inference.classification import classify

    found = classify(file, images, top=top, classes=classes, **given_question(options))
    if not put_json(as_json, found.to_dict()) and not quiet:
        _print(found)


def _print(found: "Classification") -> None:
    file = found.subject.file
    print_pairs(
        [
            ("network", f"{file.path}: {file.identity.variant.name}, {file.facts.in_words()}"),
            ("recipe", recipe_text(found.subject.recipe.to_dict())),
            ("names", found.names.words),
            *engine_pairs(found.engine.record()),
            *(("warning", words) for words in found.subject.cautions),
        ]
    )
    for path, classes in found.images:
        if len(classes) == 1:
            say(f"{path}: {_in_one_line(classes[0])}")
            continue
        say()
        say(str(path), STRONG)
        columns = [cells for cells in zip(_HEADERS, *map(_row, classes), strict=True) if any(cells[1:])]
        headers, *rows = zip(*columns, strict=True)
        aligned = "".join(_ALIGNED[header] for header in headers)
        print_table(headers, rows, aligned, below=("class",) if "class" in headers else (), drop=("logit",), indent=2)


def _in_one_line(seen: "SeenClass") -> str:
    name = f"{seen.index} {seen.name}" if seen.name else str(seen.index)
    return f"{name}  {seen.probability:.3f}"


def _row(seen: "SeenClass") -> list[str]:
    return [str(seen.index), seen.name or "", seen.synset or "", f"{seen.probability:.4f}", f"{seen.logit:.3f}"]

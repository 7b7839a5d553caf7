"""Options of commands that run networks: how the source is read, images, interpreters."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from effconvert.cli.options.shared import PATH, facts_option, given_facts, key_option, source_options
from effconvert.maps.map_names import runner_names

if TYPE_CHECKING:
    from effconvert.options import Options
    from effconvert.verification.inputs import Images

F = TypeVar("F", bound=Callable[..., Any])

FRAMEWORKS = runner_names()
_COUNT = 8

_IMAGES = (
    click.option(
        "--images", type=PATH, metavar="DIR", help="Use the images in this folder instead of two synthetic ones."
    ),
    click.option("--recipe", help="Prepare images by this recipe, e.g. tf-official or timm. Default: the source's."),
    click.option(
        "--count",
        type=click.IntRange(2),
        help=f"Use this many images. Default: 2 synthetic ones, or the first {_COUNT} of DIR.",
    ),
    click.option("--seed", type=click.IntRange(0), default=0, help="Set the seed of the synthetic images."),
    click.option(
        "--size",
        type=click.IntRange(32, 4096),
        help="Set the image size in pixels. Default: that of the source's training.",
    ),
)

_READING = (
    click.option("--variant", help="Name the variant, e.g. b0, if the tensors do not tell it."),
    *source_options,
    facts_option,
    key_option,
)

python_option = click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="FRAMEWORK=PATH",
    help="Use this interpreter for a framework, e.g. mindspore=/opt/ms/bin/python (or set "
    "EFFCONVERT_PYTHON_<FRAMEWORK>). Repeatable.",
)


def _allow_pixels(ctx: click.Context, parameter: click.Parameter, count: int | None) -> None:
    if count:
        from effconvert.preprocessing.limits import allow_pixels

        allow_pixels(count)


# The limit is of this process, so commands need not pass it on.
max_pixels_option = click.option(
    "--max-pixels",
    type=click.IntRange(1),
    metavar="N",
    expose_value=False,
    callback=_allow_pixels,
    help="Read images of up to N pixels, height times width; each takes 4 to 15 bytes a pixel. Default: 67,108,864.",
)


def images_options(function: F) -> F:
    """Add the options for the images."""
    return functools.reduce(lambda inner, option: option(inner), reversed((*_IMAGES, max_pixels_option)), function)


def reading_options(function: F) -> F:
    """Add the options for reading a file."""
    return functools.reduce(lambda inner, option: option(inner), reversed(_READING), function)


def given_reading(options: dict[str, Any]) -> tuple["Options", bytes | None]:
    """Remove the options of `reading_options` from `options` and return their values, and the key."""
    from effconvert.options import Options

    names = ("variant", "raw", "root", "backbone", "classifier", "leave")
    reading = Options(facts=given_facts(options.pop("assignments")), **{name: options.pop(name) for name in names})
    key = options.pop("key")
    return reading, key.encode() if key else None


def given_images(options: dict[str, Any]) -> "Images":
    """Remove the options of `images_options` from `options` and return their values.

    Raises click's usage error for a recipe without images.
    """
    from effconvert.verification.inputs import Images

    folder, recipe, count = options.pop("images"), options.pop("recipe"), options.pop("count")
    if recipe and not folder:
        raise click.UsageError("--recipe is for real images: give --images too")
    return Images(folder, count or (_COUNT if folder else 2), options.pop("seed"), options.pop("size"), recipe)


def given_pythons(assignments: tuple[str, ...]) -> dict[str, str]:
    """Return {framework: interpreter}. Raises click's usage error for other forms."""
    pythons = dict(assignment.partition("=")[::2] for assignment in assignments)
    unknown = [name for name, path in pythons.items() if name not in FRAMEWORKS or not path]
    if unknown:
        raise click.UsageError(f"--python {unknown[0]}: must read FRAMEWORK=PATH, with one of {', '.join(FRAMEWORKS)}")
    return pythons

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
    metavar="[FRAMEWORK=]PATH",
    help="Use this interpreter for all frameworks that it has, or for one, e.g. mindcv=/opt/ms/bin/python (or set "
    "EFFCONVERT_PYTHON_<FRAMEWORK>). Repeatable.",
)


def images_options(function: F) -> F:
    """Add the options for the images."""
    return functools.reduce(lambda inner, option: option(inner), reversed(_IMAGES), function)


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
    """Return {framework: interpreter}; a path alone is that of `any`. Raises click's usage error for other forms."""
    from effconvert.verification.launching import ANY

    named = (assignment.partition("=") if "=" in assignment else (ANY, "", assignment) for assignment in assignments)
    pythons = {name: path for name, _, path in named}
    wrong = [name for name, path in pythons.items() if name not in (ANY, *FRAMEWORKS) or not path]
    wrong += [path for path in [pythons.get(ANY)] if path in FRAMEWORKS]
    if wrong:
        known = ", ".join(FRAMEWORKS)
        raise click.UsageError(f"--python {wrong[0]}: must read FRAMEWORK=PATH, with one of {known}, or a path alone")
    return pythons

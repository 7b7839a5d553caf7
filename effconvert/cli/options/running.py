"""Options of commands that run networks: how the source is read, images, interpreters."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from effconvert.architecture.canonical import CANONICAL, CANONICAL_NAMES
from effconvert.cli.click_classes import more_option
from effconvert.cli.options.names import RECIPE, VARIANT, Choice
from effconvert.cli.options.shared import PATH, facts_option, given_facts, key_option, source_options
from effconvert.errors import UnknownName, known_names
from effconvert.maps.map_names import ONNX, TFLITE, runner_names, runners_called

if TYPE_CHECKING:
    from effconvert.options import Options
    from effconvert.verification.inputs import Images

F = TypeVar("F", bound=Callable[..., Any])

FRAMEWORKS = runner_names()
_RUNNERS = (*FRAMEWORKS, ONNX, TFLITE)
_COUNT = 8


class InterpreterAssignment(click.ParamType):  # type: ignore[type-arg]
    """The interpreter of a framework, `FRAMEWORK=PATH`, or of all; `given_pythons` reads it."""

    name = "[FRAMEWORK=]PATH"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self.name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if "=" in incomplete:
            return [CompletionItem(incomplete, type="file")]
        named = [CompletionItem(f"{name}=") for name in _RUNNERS if name.startswith(incomplete)]
        return named or [CompletionItem(incomplete, type="file")]


_IMAGES = (
    click.option(
        "--images", type=PATH, metavar="DIR", help="Use the images in this folder instead of two synthetic ones."
    ),
    click.option(
        "--recipe", type=RECIPE, help="Prepare images by this recipe, e.g. tf-official or timm. Default: the source's."
    ),
    click.option(
        "--count",
        type=click.IntRange(2),
        metavar="N",
        help=f"Use this many images. Default: 2 synthetic ones, or the first {_COUNT} of DIR.",
    ),
    more_option("--seed", type=click.IntRange(0), metavar="N", default=0, help="Set the seed of the synthetic images."),
    more_option(
        "--size",
        type=click.IntRange(32, 4096),
        metavar="N",
        help="Set the image size in pixels. Default: that of the source's training.",
    ),
)

_READING = (
    click.option("--variant", type=VARIANT, help="Name the variant, e.g. b0, if the tensors do not tell it."),
    *source_options,
    facts_option,
    key_option,
)

python_option = click.option(
    "--python",
    "pythons",
    type=InterpreterAssignment(),
    multiple=True,
    help="Use this interpreter for all frameworks that it has, or for one, e.g. mindcv=/opt/ms/bin/python (or set "
    "EFFCONVERT_PYTHON_<FRAMEWORK>). Repeatable.",
)


def _allow_pixels(ctx: click.Context, parameter: click.Parameter, count: int | None) -> None:
    from effconvert.preprocessing.limits import pixels_allowed

    ctx.with_resource(pixels_allowed(count))


# Names repeated here, so that --help imports nothing of validation.
engine_option = more_option(
    "--engine",
    type=Choice(("auto", "torch", "onnxruntime", "openvino")),
    default="auto",
    show_default=True,
    help="Compute the network on a CPU by this library; auto: the fastest that is installed and agrees with torch.",
)

# The limit is of this process, so commands need not pass it on.
max_pixels_option = more_option(
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
    """Return {framework: interpreter}; `mindspore=PATH` is for all of its libraries, a path alone is that of `any`.

    Raises click's usage error for other forms.
    """
    from effconvert.verification.launching import ANY

    pythons: dict[str, str] = {}
    for assignment in assignments:
        name, named, path = assignment.partition("=") if "=" in assignment else ("", "", assignment)
        called = (ANY,) if not named else (name,) if name in _RUNNERS else runners_called(name)
        if not called or not path or (not named and runners_called(path)):
            words = known_names(name or path, _RUNNERS, "frameworks are")
            raise click.UsageError(f"--python {assignment}: must read FRAMEWORK=PATH, or a path alone; {words}")
        pythons |= dict.fromkeys(called, path)
    return pythons


def framework_choice(*others: str) -> Choice:
    """Return the type of a framework that runs a network, or one of `others`, such as `auto`."""
    return Choice((*others, *FRAMEWORKS), _framework_called)


def _framework_called(name: str) -> str:
    """Return the framework that `name` means. Raises UnknownName if it means several."""
    if name.lower() in CANONICAL_NAMES:
        return CANONICAL
    found = runners_called(name)
    if len(found) > 1:
        raise UnknownName(f"{name!r} is {' or '.join(found)}; give one of them")
    return found[0] if found else name

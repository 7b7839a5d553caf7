"""Options of all converting commands, and the functions that run a conversion."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from effconvert.cli.click_classes import more_option
from effconvert.cli.display.json_output import JsonOutput, printed_as_json
from effconvert.cli.display.progress import progress_bars
from effconvert.cli.options.names import RECIPE, TRAINING, VARIANT, dtype_choice
from effconvert.cli.options.shared import (
    PATH,
    facts_option,
    force_option,
    given_facts,
    json_option,
    key_option,
    out_option,
    quiet_option,
    source_options,
    with_options,
)

F = TypeVar("F", bound=Callable[..., Any])

_SOURCE = (
    click.option(
        "--recipe",
        type=RECIPE,
        help="Record this preprocessing recipe, e.g. tf-official or timm. Default: the usual one.",
    ),
    click.option(
        "--dtype",
        type=dtype_choice("float32", "float16", "bfloat16"),
        help="Write this dtype. Default: the source's.",
    ),
    *source_options,
    facts_option,
    key_option,
    more_option("--drop-background-class", is_flag=True, help="Leave out class 0 of a classifier of 1001."),
)
_TARGET = (
    more_option("--fold-eps", is_flag=True, help="Absorb another BatchNorm epsilon into the variances, exactly."),
    more_option(
        "--allow-inexact",
        is_flag=True,
        help="Convert even if the target's network has other facts; the error is measured and recorded.",
    ),
)
# The graph that is written with `--to onnx`.
graph_options = with_options(
    click.option(
        "--size",
        type=click.IntRange(1, 4096),
        metavar="N",
        help="Set the size in pixels of the images that a graph (onnx) takes. Default: the recipe's.",
    ),
    more_option("--free-size", is_flag=True, help="Let a graph (onnx) take images of any size; not every runtime can."),
    more_option(
        "--batch",
        type=click.IntRange(1),
        metavar="N",
        help="Let a graph (onnx) take exactly N images at a time. Default: any number.",
    ),
    more_option(
        "--fold", is_flag=True, help="Fold BatchNorm into the kernels of a graph (onnx), which then holds no weights."
    ),
    more_option(
        "--with-normalisation", is_flag=True, help="Let a graph (onnx) take pixels, 0 to 255, and normalise them."
    ),
    more_option("--with-softmax", is_flag=True, help="Let a graph (onnx) give probabilities, not logits."),
)
_RESULT = (force_option, json_option, quiet_option)


def to_torch_options(weights: str) -> Callable[[F], F]:
    """Return the options of a command that writes canonical files; `weights` is the help about published weights."""
    return with_options(
        click.argument("file", type=PATH, required=False),
        click.option(
            "--variant",
            type=VARIANT,
            help="Name the variant: b0 … b8, l2, cc-b0-4e, cc-b0-8e, cc-b1-8e, edgetpu-s/m/l, lite0 … lite4.",
        ),
        click.option("--weights", type=TRAINING, help=weights),
        out_option("Write this .safetensors or .pth file. Default: VARIANT.safetensors."),
        *_RESULT,
        *_SOURCE,
        more_option("--checkpoint", type=PATH, metavar="FILE", help="Convert this file: the same as FILE."),
    )


def from_torch_options(out: str, required: bool = True) -> Callable[[F], F]:
    """Return the options of a command that writes another library's file; `out` is the help of --out."""
    return with_options(out_option(out, required=required), *_RESULT, *_SOURCE, *_TARGET)


def convert_to_torch(
    framework: str,
    file: Path | None,
    checkpoint: Path | None,
    variant: str | None,
    weights: str | None,
    out: Path | None,
    **options: Any,
) -> None:
    """Convert the user's `file`, or the weights that `framework` published for `variant`; print the report.

    checkpoint: the same as `file`.
    """
    if file and checkpoint and file != checkpoint:
        raise click.UsageError(f"FILE is {file}, and --checkpoint is {checkpoint}; give only one of them")
    own = file or checkpoint
    if own:
        convert_file(own, out, variant=variant, weights=weights, **options)
    elif variant:
        convert_by_name(variant, out, framework=framework, weights=weights, **options)
    else:
        raise click.UsageError("give FILE, a file of your own, or --variant for published weights")


def convert_file(file: Path, out: Path | None, **options: Any) -> None:
    """Convert `file` into `out`, and print the report."""
    from effconvert.cli.display.conversions import print_report
    from effconvert.conversion.steps import convert

    quiet, as_json, options = _plain(options)
    with progress_bars(quiet or printed_as_json(as_json)) as bar:
        report = convert(file, out, progress=bar("converting"), **options)
    print_report(report, as_json, quiet)


def convert_by_name(name: str, out: Path | None, **options: Any) -> None:
    """Convert the published weights with this `name` into `out`, and print the report."""
    from effconvert.cli.display.conversions import print_report
    from effconvert.hub.published_conversion import convert_published

    quiet, as_json, options = _plain(options)
    with progress_bars(quiet or printed_as_json(as_json)) as bar:
        options |= {"downloading": bar("downloading"), "progress": bar("converting")}
        report = convert_published(name, out, **options)
    print_report(report, as_json, quiet)


def _plain(options: dict[str, Any]) -> tuple[bool, JsonOutput | None, dict[str, Any]]:
    """Return --quiet, --json, and the other options as `effconvert.convert` takes them."""
    options = dict(options)
    quiet, as_json = options.pop("quiet"), options.pop("as_json")
    options["facts"] = given_facts(options.pop("assignments"))
    options["key"] = options["key"].encode() if options["key"] else None
    return quiet, as_json, options

"""Options of an evaluation: device, batches, workers, pipeline, run files."""

from typing import TYPE_CHECKING, Any

import click

from effconvert.cli.click_classes import more_option
from effconvert.cli.options.names import Choice, device_choice, dtype_choice
from effconvert.cli.options.running import engine_option, max_pixels_option
from effconvert.cli.options.shared import PATH, with_options

if TYPE_CHECKING:
    from effconvert.validate.evaluation.jobs import Settings

# Repeated here, so that --help imports nothing.
_DTYPES = ("auto", "float32", "bfloat16", "float16")
_RUNS = "effconvert-runs"

# The options of an evaluation.
evaluation_options = with_options(
    click.option("--device", type=device_choice(), help="Choose the device. Default: a GPU if there is one."),
    engine_option,
    more_option(
        "--dtype",
        type=dtype_choice(*_DTYPES),
        default="auto",
        show_default=True,
        help="Choose the dtype; auto: bfloat16 on GPUs that have it, else float32.",
    ),
    more_option(
        "--compile", "compiled", is_flag=True, help="Compile the network first: this takes minutes, then it is faster."
    ),
    more_option(
        "--batch-size",
        "batch",
        type=click.IntRange(1),
        metavar="N",
        help="Set the batch size. Default: as large as possible.",
    ),
    more_option(
        "--workers",
        type=click.IntRange(0),
        metavar="N",
        help="Set the number of processes that prepare images. Default: one per core.",
    ),
    more_option(
        "--pipeline",
        type=Choice(["exact", "fast"]),
        default="exact",
        show_default=True,
        help="Choose the pipeline; fast is nearly equal to exact, and the effect is measured on 512 images.",
    ),
    max_pixels_option,
    more_option("--skip-broken", is_flag=True, help="Leave out images that cannot be read, and list them."),
    click.option("--only-present", is_flag=True, help="Choose only among classes that the data has (ImageNet-A, -R)."),
    click.option("--runs", type=PATH, default=_RUNS, show_default=True, help="Write run files into this folder."),
    click.option("--resume", is_flag=True, help="Continue where an earlier run ended."),
)


def given_settings(options: dict[str, Any]) -> "Settings":
    """Remove the settings of an evaluation from `options`, including --force, and return them."""
    import dataclasses

    from effconvert.validate.evaluation.jobs import Settings

    names = [field.name for field in dataclasses.fields(Settings) if field.name in options]
    return Settings(**{name: options.pop(name) for name in names})

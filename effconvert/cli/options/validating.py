"""The options that say how networks are evaluated: device, batches, workers, pipeline, what becomes of a run."""

from typing import TYPE_CHECKING, Any

import click

from effconvert.cli.options.shared import PATH, with_options

if TYPE_CHECKING:
    from effconvert.validate.evaluation.jobs import Settings

# Here and not from where they are described, so that --help imports nothing.
_DTYPES = ("auto", "float32", "bfloat16", "float16")
_RUNS = "effconvert-runs"

# How networks are evaluated.
evaluation_options = with_options(
    click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Default: a GPU where there is one."),
    click.option(
        "--dtype",
        type=click.Choice(_DTYPES),
        default="auto",
        show_default=True,
        help="auto: bfloat16 on GPUs that have it, else float32.",
    ),
    click.option("--compile", "compiled", is_flag=True, help="Compile the network first: minutes, then faster."),
    click.option("--batch-size", "batch", type=click.IntRange(1), help="Images at once; by default as many as fit."),
    click.option("--workers", type=click.IntRange(0), help="Processes that prepare images; by default one a core."),
    click.option(
        "--pipeline",
        type=click.Choice(["exact", "fast"]),
        default="exact",
        show_default=True,
        help="fast prepares images nearly alike; what that changes is measured on 512 of them.",
    ),
    click.option("--skip-broken", is_flag=True, help="Leave out images that cannot be read, and list them."),
    click.option("--only-present", is_flag=True, help="Let only classes compete that the data has (ImageNet-A, -R)."),
    click.option("--runs", type=PATH, default=_RUNS, show_default=True, help="The folder of the run files."),
    click.option("--resume", is_flag=True, help="Go on where an earlier run ended."),
)


def given_settings(options: dict[str, Any]) -> "Settings":
    """Take what says how networks are evaluated out of `options`, --force too, and return it."""
    import dataclasses

    from effconvert.validate.evaluation.jobs import Settings

    names = [field.name for field in dataclasses.fields(Settings) if field.name in options]
    return Settings(**{name: options.pop(name) for name in names})

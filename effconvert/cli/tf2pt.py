"""`effconvert tf2pt`: a TensorFlow checkpoint becomes canonical PyTorch."""

from pathlib import Path
from typing import Any

import click

from effconvert.cli.options import PATH, facts_option, force_option, given_facts, json_option, quiet_option
from effconvert.cli.output import print_report, progress_bars


@click.command("tf2pt")
@click.option("--variant", help="b0 … b8, l2, cc-b0-4e, cc-b0-8e, cc-b1-8e, edgetpu-s/m/l, lite0 … lite4.")
@click.option("--weights", help="base, aa, ra, advprop, ns (l2: ns, ns-475). Default: aa, else the newest.")
@click.option(
    "--checkpoint",
    type=PATH,
    help="Your own: a folder, prefix, .index, .tar.gz or SavedModel; the variant is recognised.",
)
@click.option("--out", type=PATH, help="A .safetensors or .pth file. Default: VARIANT.safetensors.")
@click.option("--raw", is_flag=True, help="Take the raw weights instead of their averages.")
@facts_option
@click.option("--dtype", type=click.Choice(["float32", "float16", "bfloat16"]), help="Default: the source's.")
@click.option("--drop-background-class", is_flag=True, help="Leave out class 0 of a classifier of 1001.")
@force_option
@json_option
@quiet_option
def command(
    variant: str | None,
    weights: str | None,
    checkpoint: Path | None,
    out: Path | None,
    raw: bool,
    assignments: tuple[str, ...],
    dtype: str | None,
    drop_background_class: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Convert a TensorFlow checkpoint to PyTorch.

    With --variant alone the published checkpoint is downloaded into the cache and converted; with --checkpoint your
    own is. Averages are taken where the file has them.

    Examples:

    \b
      effconvert tf2pt --variant b7
      effconvert tf2pt --checkpoint efficientnet-b0/ --out b0.safetensors
    """
    if not variant and not checkpoint:
        raise click.UsageError("give --variant for published weights, or --checkpoint for your own")
    options: dict[str, Any] = {
        "weights": weights,
        "raw": raw,
        "facts": given_facts(assignments),
        "dtype": dtype,
        "drop_background_class": drop_background_class,
        "force": force,
    }
    with progress_bars(quiet or as_json) as bar:
        if checkpoint:
            from effconvert.conversion import convert

            report = convert(checkpoint, out, variant=variant, progress=bar("converting"), **options)
        else:
            from effconvert.published import convert_published

            assert variant
            options |= {"downloading": bar("downloading"), "progress": bar("converting")}
            report = convert_published(variant, out, **options)
    print_report(report, as_json, quiet)

"""`effconvert convert`: a file of any layout, or published weights, becomes one of any other."""

from pathlib import Path
from typing import Any

import click

from effconvert.architecture.canonical import CANONICAL
from effconvert.cli.options.conversion import convert_by_name, convert_file, from_torch_options
from effconvert.cli.options.shared import PATH, LayoutName
from effconvert.maps.map_names import target_names


def _targets() -> tuple[str, ...]:
    """Return the layouts that can be written, the user's first."""
    from effconvert.maps.layouts import known_layouts

    return (CANONICAL, *(layout.name for layout in known_layouts() if layout.write))


@click.command("convert")
@click.argument("input", type=PATH, required=False)
@click.option(
    "--published",
    metavar="NAME",
    help="Published weights in place of INPUT: FRAMEWORK/VARIANT or FRAMEWORK/VARIANT/WEIGHTS, as `effconvert list` "
    "names them.",
)
@click.option(
    "--to",
    type=LayoutName(_targets),
    help=f"The layout to write: {', '.join(target_names())}, or a map's. Of --published by default canonical.",
)
@click.option("--variant", help="Where the tensors leave it open.")
@click.option("--weights", help="Which training it is, which decides the preprocessing: aa, ns, advprop …")
@click.option("--names", type=click.Choice(["raw", "average", "both"]), help="Of tf-official: which tensors to write.")
@from_torch_options(
    "The file, or for huggingface and tf-official the folder, to write; the suffix decides the format. Of --published "
    "by default called after it, as torchvision-b0-timm.safetensors.",
    required=False,
)
def command(
    input: Path | None,  # noqa: A002
    published: str | None,
    out: Path | None,
    to: str | None,
    variant: str | None,
    **options: Any,
) -> None:
    """Convert a file of any layout, or published weights, into any other layout.

    INPUT is recognised by its bytes and its tensors: TensorFlow, MindSpore, PyTorch, safetensors, HDF5 and .keras;
    mmpretrain, timm, torchvision, EfficientNet-PyTorch, Hugging Face, Keras, mindvision, MindCV. The output's format
    follows its suffix: .safetensors .pth .ckpt .h5 .weights.h5 .keras.

    Examples:

    \b
      effconvert convert b0.safetensors --to timm --out b0-timm.pth
      effconvert convert --published torchvision/b0/imagenet1k_v1 --to timm --out b0-timm.pth
    """
    if (input is None) == (published is None):
        raise click.UsageError("give either INPUT, a file of your own, or --published NAME, as torchvision/b0")
    if published is not None:
        if variant:
            raise click.UsageError("--variant is for INPUT; --published names the variant itself")
        convert_by_name(published, out, to=to or CANONICAL, **options)
        return
    assert input
    _require("to", to)
    _require("out", out)
    convert_file(input, out, to=to, variant=variant, **options)


def _require(name: str, value: Any) -> None:
    """Raise click's own error for an option that was not given."""
    if value is None:
        context = click.get_current_context()
        option = next(each for each in context.command.params if each.name == name)
        raise click.MissingParameter(ctx=context, param=option)

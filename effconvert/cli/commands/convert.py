"""`effconvert convert`: conversion of a file of any layout, or of published weights, to any other layout."""

from pathlib import Path
from typing import Any

import click

from effconvert.architecture.canonical import CANONICAL
from effconvert.cli.click_classes import Command, more_option
from effconvert.cli.options.conversion import convert_by_name, convert_file, from_torch_options, graph_options
from effconvert.cli.options.names import PUBLISHED, TRAINING, VARIANT, Choice, layout_name
from effconvert.cli.options.shared import PATH
from effconvert.graphs.graph_options import ONNX
from effconvert.maps.map_names import target_names


def _targets() -> tuple[str, ...]:
    """Return the writable layouts, the user's first, and their families."""
    from effconvert.maps.layouts import known_layouts

    layouts = [layout for layout in known_layouts() if layout.write]
    families = dict.fromkeys(layout.library.family for layout in layouts if layout.library.family)
    return (CANONICAL, ONNX, *(layout.name for layout in layouts), *families)


@click.command("convert", cls=Command)
@click.argument("file", type=PATH, required=False)
@click.option(
    "--published",
    type=PUBLISHED,
    help="Convert published weights in place of FILE, e.g. torchvision/b0 or tensorflow/b0/ns; see `effconvert list`.",
)
@click.option(
    "--to",
    type=layout_name(_targets),
    help=f"Write this layout: {', '.join(target_names())}, or one of --map; or {ONNX}, a graph. Default with "
    f"--published: {CANONICAL}, effconvert's own PyTorch network.",
)
@click.option("--variant", type=VARIANT, help="Name the variant, e.g. b0, if the tensors do not tell it.")
@click.option(
    "--weights", type=TRAINING, help="Name the training, e.g. aa, ns or advprop; it decides the preprocessing."
)
@more_option("--names", type=Choice(["raw", "average", "both"]), help="Choose the tensors for tf-official.")
@from_torch_options(
    "Write this file, or for huggingface and tf-official this folder; the suffix decides the format. Default with "
    "--published: a name such as torchvision-b0-timm.safetensors.",
    required=False,
)
@graph_options
def command(
    file: Path | None,
    published: str | None,
    out: Path | None,
    to: str | None,
    variant: str | None,
    **options: Any,
) -> None:
    """Convert a file of any layout, or published weights, to any other layout.

    The format of FILE is recognised by its bytes (TensorFlow, MindSpore, PyTorch, safetensors, HDF5, .keras), its
    layout by its tensors (mmpretrain, timm, torchvision, EfficientNet-PyTorch, Hugging Face, Keras, mindvision,
    MindCV). The suffix decides the format of the output: .safetensors .pth .ckpt .h5 .weights.h5 .keras .onnx.

    Examples:

    \b
      effconvert convert b0.safetensors --to timm --out b0-timm.pth
      effconvert convert --published torchvision/b0 --to timm -o b0-timm.pth
      effconvert convert b0.safetensors --to onnx -o b0.onnx
    """
    if (file is None) == (published is None):
        raise click.UsageError("give either FILE, a file of your own, or --published NAME, e.g. torchvision/b0")
    if published is not None:
        if variant:
            raise click.UsageError("--variant is only for FILE; --published has the variant in its name")
        convert_by_name(published, out, to=to or CANONICAL, **options)
        return
    assert file
    _require("to", to)
    _require("out", out)
    convert_file(file, out, to=to, variant=variant, **options)


def _require(name: str, value: Any) -> None:
    """Raise click's own error for a missing option."""
    if value is None:
        context = click.get_current_context()
        option = next(each for each in context.command.params if each.name == name)
        raise click.MissingParameter(ctx=context, param=option)

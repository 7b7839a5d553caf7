"""`effconvert convert`: a file of any layout becomes one of any other."""

from pathlib import Path
from typing import Any

import click

from effconvert.cli.conversion_options import convert_file, from_torch_options
from effconvert.cli.options import path_argument

_TARGETS = (
    "canonical", "timm", "torchvision", "lukemelas", "huggingface", "mmpretrain",
    "mindvision", "mindcv", "keras", "tf-official",
)  # fmt: skip


@click.command("convert")
@path_argument("input")
@click.option("--to", type=click.Choice(_TARGETS), required=True, help="The layout to write.")
@click.option("--variant", help="Where the tensors leave it open.")
@click.option("--weights", help="Which training it is, which decides the preprocessing: aa, ns, advprop …")
@click.option("--names", type=click.Choice(["raw", "average", "both"]), help="Of tf-official: which tensors to write.")
@from_torch_options("The file, or for huggingface and tf-official the folder, to write; the suffix decides the format.")
def command(input: Path, out: Path, to: str, **options: Any) -> None:  # noqa: A002
    """Convert a file of any layout into any other.

    INPUT is recognised by its bytes and its tensors: TensorFlow, MindSpore, PyTorch, safetensors, HDF5 and .keras;
    mmpretrain, timm, torchvision, EfficientNet-PyTorch, Hugging Face, Keras, mindvision, MindCV. The output's format
    follows its suffix: .safetensors .pth .ckpt .h5 .weights.h5 .keras.

    Example: effconvert convert b0.safetensors --to timm --out b0-timm.pth
    """
    convert_file(input, out, to, **options)

"""`effconvert features`: feature maps and pooled features of images."""

from pathlib import Path
from typing import Any

import click

from effconvert.cli.click_classes import Command
from effconvert.cli.display.terminal import print_pairs
from effconvert.cli.display.words import recipe_text
from effconvert.cli.options.asking import asking_options, given_question, images_argument
from effconvert.cli.options.names import Choice, dtype_choice
from effconvert.cli.options.shared import force_option, out_option, path_argument, quiet_option
from effconvert.report.renderings.numbers_text import size as size_text


@click.command("features", cls=Command)
@path_argument("file")
@images_argument
@out_option("Write this .npz file.", required=True, metavar="NPZ")
@click.option(
    "--level",
    "levels",
    type=Choice(["0", "1", "2", "3", "4", "5", "head", "pooled"]),
    multiple=True,
    default=["pooled"],
    help="Choose the features, e.g. 3 or head. Repeatable. Default: pooled.",
)
@click.option(
    "--dtype", type=dtype_choice("float32", "float16"), default="float32", help="Choose the dtype of the features."
)
@asking_options
@force_option
@quiet_option
def command(
    file: Path,
    images: tuple[Path, ...],
    out: Path,
    levels: tuple[str, ...],
    dtype: str,
    force: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Write features of images, as the network in FILE computes them before it classifies. FILE has any layout.

    IMAGE is a file, or a folder with images. They are prepared by the recipe in the file, or as its library does.

    \b
    Levels:
      0       the prepared image, [3, H, W]
      1 to 5  the map at stride 2, 4, 8, 16, 32: that of the last block before
              the next stride. TensorFlow's reduction_1 to reduction_5, timm's
              features_only 0 to 4, mmpretrain's out_indices 1 to 5
      head    the map after the last convolution: timm's forward_features,
              mmpretrain's backbone, Keras's include_top=False
      pooled  the average of the last map: the input of the classifier

    NPZ holds `features` [images, …], or for several levels `level_3`, `head`, `pooled` …; also `names`, and `record`, a
    JSON string with file, recipe, facts, and the hash of each image (the first 16 bytes of its SHA-256).

    Example: effconvert features own.safetensors cat.jpg --out features.npz
    """
    from effconvert.validate.inference.feature_maps import save_features

    saved = save_features(file, images, out, levels=levels, dtype=dtype, force=force, **given_question(options))
    if quiet:
        return
    asked = saved.subject
    arrays = ", ".join(f"{name} {list(shape)}" for name, shape in saved.shapes.items())
    print_pairs(
        [
            ("network", f"{asked.file.path}: {asked.file.identity.variant.name}, {asked.file.facts.in_words()}"),
            ("recipe", recipe_text(asked.recipe.to_dict())),
            ("written", f"{out}: {arrays}, {saved.dtype}, {size_text(saved.nbytes)}"),
            *(("warning", words) for words in asked.cautions),
        ]
    )

"""`effconvert validate`: the accuracy of networks on ImageNet, compared with every published table."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from effconvert.cli.click_classes import Command, more_option
from effconvert.cli.display.json_output import JsonOutput, printed_as_json, put_json
from effconvert.cli.memory import keep_large_buffers
from effconvert.cli.options.names import PUBLISHER, RECIPE, TRAINING, VARIANT
from effconvert.cli.options.shared import (
    PATH,
    facts_option,
    given_facts,
    json_option,
    key_option,
    map_option,
    quiet_option,
)
from effconvert.cli.options.validating import evaluation_options, given_settings
from effconvert.errors import PublishedMismatch


@click.command("validate", cls=Command)
@click.argument("files", type=PATH, nargs=-1, metavar="[FILE]...")
@click.option(
    "--data", type=PATH, required=True, help="Read images from a folder, a tar, or shards, e.g. 'val-{000..049}.tar'."
)
@click.option(
    "--variant", type=VARIANT, help="Convert published weights of this variant first, if they are not here yet."
)
@click.option(
    "--framework",
    type=PUBLISHER,
    default="tensorflow",
    show_default=True,
    help="Choose the publisher for --variant, e.g. timm or mindspore.",
)
@click.option(
    "--weights", type=TRAINING, help="Name the training of --variant, or of FILEs that do not tell it, e.g. ns."
)
@click.option(
    "--recipe",
    type=RECIPE,
    help="Prepare images by this recipe, e.g. tf-official or timm. Default: that of each file.",
)
@click.option(
    "--size", type=click.IntRange(32, 4096), metavar="N", help="Set the image size in pixels. Default: the recipe's."
)
@click.option(
    "--classes",
    type=PATH,
    metavar="NAMES",
    help="Read the classes of your own data from this file, one per line, in order.",
)
@click.option("--labels", type=PATH, help="Use other labels: lines `name label`, or ImageNet-ReaL's real.json.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Evaluate only this many images, spread evenly over the data."
)
@click.option("--subset", type=PATH, metavar="LIST", help="Evaluate only the images or classes in this list.")
@click.option("--partial", is_flag=True, help="Evaluate even if images of ImageNet are missing.")
@more_option("--tables", is_flag=True, help="Print the accuracy of each group of classes and of each class.")
@more_option("--raw", is_flag=True, help="Take the raw weights instead of their averages.")
@more_option(
    "--root", metavar="PREFIX", help="Use the network with this prefix, e.g. teacher., if the file holds several."
)
@facts_option
@key_option
@map_option
@evaluation_options
@click.option(
    "--restart",
    "--force",
    "force",
    is_flag=True,
    help="Begin anew, even if the same run is here unfinished.",
)
@json_option
@quiet_option
def command(files: tuple[Path, ...], tables: bool, as_json: JsonOutput | None, quiet: bool, **options: Any) -> None:
    """Measure top-1 and top-5 of networks on ImageNet, and compare them with every published value.

    FILEs may have any layout; files with the same preprocessing share one pass. Without FILE, every file of effconvert
    in this folder is measured. DATA is a folder per class, a folder or ILSVRC2012_img_val.tar with or without labels,
    WebDataset or TFRecord shards, or Parquet; it is recognised by its contents.

    The predictions for every image are saved in effconvert-runs/NAME.npz, for `effconvert compare`. Ctrl-C loses
    nothing: --resume continues. `torchrun --nproc-per-node 8 -m effconvert validate …` shares the images among
    processes.

    Exit code 6: accuracy, parameters or operations differ from the published ones.

    Examples:

    \b
      effconvert validate --data imagenet/val b0.safetensors b7.safetensors
      effconvert validate --data ILSVRC2012_img_val.tar --variant b0 --weights aa
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # waiting threads leave the CPU to decoding ones
    keep_large_buffers()
    from effconvert.cli.display.validations import Display
    from effconvert.options import Options
    from effconvert.validate.accuracy.results import result_of
    from effconvert.validate.evaluation.chosen_files import files_to_measure
    from effconvert.validate.evaluation.measuring import measure_files
    from effconvert.validate.evaluation.ranks import joined

    key, facts = options.pop("key"), given_facts(options.pop("assignments"))
    published = {name: options.pop(name) for name in ("variant", "framework")}
    reading = Options(weights=options.pop("weights"), raw=options.pop("raw"), root=options.pop("root"), facts=facts)
    settings = given_settings(options)
    with joined() as ranks:
        display = Display(quiet or printed_as_json(as_json) or not ranks.first)
        chosen = ranks.agree(lambda: files_to_measure(files, **published, weights=reading.weights, first=ranks.first))
        with display.interruptible(), display.progress() as progress:
            measured = measure_files(
                chosen,
                options.pop("data"),
                options=reading,
                key=key.encode() if key else None,
                out=options.pop("runs"),
                settings=settings,
                ranks=ranks,
                found=display.found,
                note=display.note,
                progress=progress,
                **options,
            )
        if not ranks.first:
            return
        results = [result_of(one) for one in measured]
        put_json(as_json, {"schema": "effconvert/validations/1", "results": [result.to_dict() for result in results]})
        display.results(results, tables)
    if any(result.failed for result in results):
        sys.exit(PublishedMismatch.exit_code)

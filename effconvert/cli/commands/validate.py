"""`effconvert validate`: the accuracy of networks on ImageNet, against every published table."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from effconvert.cli.display.output import print_json
from effconvert.cli.memory import keep_large_buffers
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


@click.command("validate")
@click.argument("files", type=PATH, nargs=-1, metavar="[FILE]...")
@click.option("--data", type=PATH, required=True, help="A folder, a tar, or shards as 'val-{000..049}.tar'.")
@click.option("--variant", help="Convert what was published of it first, if it is not here yet.")
@click.option("--framework", default="tensorflow", show_default=True, help="Whose published weights --variant means.")
@click.option("--weights", help="Which training: of --variant, or of FILEs that do not say it.")
@click.option("--recipe", help="How images are prepared, as tf-official or timm; by default as each file says.")
@click.option("--size", type=click.IntRange(32, 4096), help="In pixels; by default the recipe's.")
@click.option("--classes", type=PATH, metavar="NAMES", help="The classes of your own data, a line each, in order.")
@click.option("--labels", type=PATH, help="Other labels: lines `name label`, or ImageNet-ReaL's real.json.")
@click.option("--limit", type=click.IntRange(1), help="So many images, spread evenly over the data.")
@click.option("--subset", type=PATH, metavar="LIST", help="Only the images or classes that its lines name.")
@click.option("--partial", is_flag=True, help="Evaluate what is there, though images of ImageNet are missing.")
@click.option("--tables", is_flag=True, help="Print the accuracy of each group of classes and of each class.")
@click.option("--raw", is_flag=True, help="Take the raw weights instead of their averages.")
@click.option("--root", metavar="PREFIX", help="Of a file that holds several networks: what stands before the one.")
@facts_option
@key_option
@map_option
@evaluation_options
@click.option("--force", is_flag=True, help="Begin anew, though the same run lies here unfinished.")
@json_option
@quiet_option
def command(files: tuple[Path, ...], tables: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Measure top-1 and top-5 of networks on ImageNet, and set them beside every published value.

    FILEs may be of any layout; those whose images are prepared alike share one pass. Without one, every file in this
    folder that effconvert made is measured. DATA is a folder per class, a folder or ILSVRC2012_img_val.tar with or
    without labels, WebDataset or TFRecord shards, or Parquet; it is recognised by what it holds.

    The answers to every image are kept in effconvert-runs/NAME.npz, for `effconvert compare`. Ctrl-C loses
    nothing: --resume goes on. `torchrun --nproc-per-node 8 -m effconvert validate …` shares the images among processes.

    Exit code 6: an accuracy, parameters or operations are not the published ones.

    Examples:

    \b
      effconvert validate --data imagenet/val b0.safetensors b7.safetensors
      effconvert validate --data ILSVRC2012_img_val.tar --variant b0 --weights aa
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait leave the processor to those that decode
    keep_large_buffers()
    from effconvert.cli.display.validations import Display
    from effconvert.options import Options
    from effconvert.validate.accuracy.results import result_of
    from effconvert.validate.evaluation.chosen_files import files_to_measure
    from effconvert.validate.evaluation.measuring import measure_accuracy
    from effconvert.validate.evaluation.ranks import joined

    key, facts = options.pop("key"), given_facts(options.pop("assignments"))
    published = {name: options.pop(name) for name in ("variant", "framework")}
    reading = Options(weights=options.pop("weights"), raw=options.pop("raw"), root=options.pop("root"), facts=facts)
    settings = given_settings(options)
    with joined() as ranks:
        display = Display(quiet or as_json or not ranks.first)
        chosen = ranks.agree(lambda: files_to_measure(files, **published, weights=reading.weights, first=ranks.first))
        with display.interruptible(), display.progress() as progress:
            measured = measure_accuracy(
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
        if as_json:
            print_json({"schema": "effconvert/validations/1", "results": [result.to_dict() for result in results]})
        display.results(results, tables)
    if any(result.failed for result in results):
        sys.exit(PublishedMismatch.exit_code)

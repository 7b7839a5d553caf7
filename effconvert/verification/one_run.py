"""Runs one network here and saves the run, or prepares a folder with which it can be run on another machine."""

import json
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from effconvert.atomic import check_output, new_file, new_folder
from effconvert.errors import LayoutMismatch, OutputProblem
from effconvert.options import Options
from effconvert.preprocessing.synthetic import sensitivity
from effconvert.verification.inputs import Images, Inputs
from effconvert.verification.launching import CANONICAL, interpreter
from effconvert.verification.network_files import NetworkFile, arrays_for, examine, run_file, settings_of
from effconvert.verification.runner_archive import write_runner
from effconvert.verification.runners.base import save_arrays
from effconvert.verification.runs import open_run


@dataclass(frozen=True)
class SavedRun:
    """What was run. images: in words. sensitivity: None of one image. layers: how many. nbytes: of the file."""

    framework: str
    network: str
    loader: str
    facts: str
    images: str
    sensitivity: float | None
    layers: int
    nbytes: int
    cautions: tuple[str, ...]


def save_run(
    file: str | Path,
    framework: str,
    out: Path,
    reading: Options,
    key: bytes | None,
    images: Images,
    follow: Path | None,
    pythons: Mapping[str, str],
    force: bool,
) -> SavedRun:
    """Run the network of `file` by `framework` and write the run to `out`; the arguments are those of `verify`.

    follow: a run whose images are taken, and whose outputs each layer is fed as well. Raises what `run_file` does, and
    OutputProblem.
    """
    check_output(out, force)
    for given in (Path(file), follow):
        if given and out.exists() and given.exists() and out.samefile(given):
            raise OutputProblem(f"{out}: is what is read; give another name with --out")
    examined, name, inputs = _chosen(file, framework, reading, key, images, follow)
    program = interpreter(name, pythons)
    with new_file(out, force) as (_, part):
        run_file(examined, name, program, inputs, part, follow)
        with open_run(part) as run:
            words = f"{len(run.images)} {inputs.words.get('kind', 'images')}, {run.images.shape[-1]} px"
            return SavedRun(
                framework=run.words,
                network=run.record["network"],
                loader=run.record["loader"],
                facts=examined.facts.in_words(examined.identity.assumed),
                images=words,
                sensitivity=sensitivity(run.outputs) if len(run.outputs) > 1 else None,
                layers=len(run.layers),
                nbytes=part.stat().st_size,
                cautions=tuple(f"{file}: {words}" for words in examined.identity.doubts),
            )


def prepare_run(
    file: str | Path,
    framework: str,
    folder: Path,
    reading: Options,
    key: bytes | None,
    images: Images,
    follow: Path | None,
    force: bool,
) -> str:
    """Write to `folder` what runs the network of `file` elsewhere, and return the command for it.

    The folder gets the runner, its settings and the images, with `follow` that run, and the tensors of a file that the
    library's own loader does not take: the framework and numpy are all that is needed beside them. Raises
    LayoutMismatch, OutputProblem.
    """
    examined, name, inputs = _chosen(file, framework, reading, key, images, follow)
    if name == CANONICAL:
        raise LayoutMismatch(f"{file}: the canonical network is run by effconvert itself: give --out")
    carried = name_elsewhere(file)
    file_argument = f"./{carried}" if carried.startswith("-") else carried
    with new_folder(folder, force) as part:
        runner = write_runner(name, part)
        command = ["python", runner.name, file_argument, "--settings", "settings.json", "--inputs", "inputs.npz"]
        settings = settings_of(examined, name, inputs, follow)
        (part / "settings.json").write_text(json.dumps(settings, indent=1, sort_keys=True))
        save_arrays(part / "inputs.npz", arrays_for(examined, inputs))
        if key or examined.is_nested:  # which the library's own loader does not take
            save_arrays(part / "tensors.npz", examined.library_tensors())
            command += ["--tensors", "tensors.npz"]
        if follow:
            shutil.copyfile(follow, part / "feed.npz")
            command += ["--feed", "feed.npz"]
    return shlex.join([*command, "--out", "run.npz"])


def name_elsewhere(file: str | Path) -> str:
    """Return what the file is called, also one that was named by dots."""
    path = Path(file)
    return path.resolve().name if path.name in ("", "..") else path.name


def _chosen(
    file: str | Path, framework: str, reading: Options, key: bytes | None, images: Images, follow: Path | None
) -> tuple[NetworkFile, str, Inputs]:
    examined = examine(file, reading, key)
    name = examined.framework if framework == "auto" else framework
    if follow is None:
        return examined, name, images.prepared(examined.recipe, examined.identity.variant.name)
    with open_run(follow) as other:
        variant = other.record["settings"].get("variant")
        if variant != examined.identity.variant.name:
            raise LayoutMismatch(f"{file}: is {examined.identity.variant.name}, and {follow} a run of {variant}")
        channels = other.images.shape[1]
        if channels != examined.facts.in_channels:
            words = f"takes images of {examined.facts.in_channels} channels, and those of {follow} have {channels}"
            raise LayoutMismatch(f"{file}: {words}")
        return examined, name, Inputs(np.array(other.images), other.record["settings"]["inputs"])

"""Execution of a file's network, by its framework or as the canonical one, here or elsewhere from a prepared folder."""

import json
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from effconvert.architecture.canonical import CANONICAL, default_facts
from effconvert.atomic import check_folder_name, check_output, check_suffix, new_file, new_folder
from effconvert.deployed.files import GRAPH_NOT_RUN, framework_of_file
from effconvert.errors import LayoutMismatch, OutputProblem
from effconvert.hashing import file_sha256
from effconvert.identify.library_builds import usual_values
from effconvert.identify.weight_sets import RAW
from effconvert.option_words import option
from effconvert.options import Options
from effconvert.preprocessing.synthetic import sensitivity
from effconvert.verification.inputs import Images, Inputs
from effconvert.verification.launching import FRAMEWORKS, LoaderRefused, Together, interpreter, run_network
from effconvert.verification.network_files import NetworkFile, Tensors, examine
from effconvert.verification.runner_archive import write_runner
from effconvert.verification.runners.base import save_arrays
from effconvert.verification.runs import open_run

# The options on how to read a file.
_READING = ("variant", "raw", "root", "backbone", "classifier", "leave")


def run_file(
    file: NetworkFile,
    framework: str,
    python: str,
    inputs: Inputs,
    out: Path,
    follow: Path | None = None,
    together: Together | None = None,
) -> None:
    """Run the network of `file` by `framework`, or as the canonical one, in a separate process, and write `out`.

    The framework's own loader reads the file if it can; otherwise, and for rounded values, it gets the tensors. follow:
    a run whose outputs are also given to each layer in isolation. together: the processes that run at the same time,
    of which one writes that run. Raises the errors of `run_network`, and LayoutMismatch for another framework's file.
    """
    is_there = not (together and together.ready)  # else the runner adds its hash
    settings = settings_of(file, framework, inputs, follow if is_there else None)
    arrays = _arrays_for(file, inputs)
    path = file.path.absolute()
    if not file.rounded or framework == CANONICAL:
        try:
            return run_network(framework, python, path, settings, arrays, out, follow, key=file.key, together=together)
        except LoaderRefused:
            pass
    tensors = file.library_tensors()
    return run_network(framework, python, path, settings, arrays, out, follow, tensors, together=together)


@dataclass(frozen=True)
class SavedRun:
    """A saved run. images: in words. sensitivity: None for one image. layers: their number. nbytes: of the file."""

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
    """Run the network of `file` by `framework`, and write the run to `out`; the arguments are those of `verify`.

    follow: a run whose images are used, and whose outputs are also given to each layer in isolation. Raises the errors
    of `run_file`, and OutputProblem.
    """
    check_output(out, force)
    for given in (Path(file), follow):
        if given and out.exists() and given.exists() and out.samefile(given):
            raise OutputProblem(f"{out}: is an input of this command; give another name with {option('out')}")
    check_suffix(out, ".npz")
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
                cautions=tuple(f"{file}: {words}" for words in _cautions(examined)),
            )


def _cautions(file: NetworkFile) -> Iterator[str]:
    if framework_of_file(file.path):
        yield GRAPH_NOT_RUN
    yield from file.identity.doubts


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
    """Write to `folder` everything to run the network of `file` elsewhere, and return the command.

    The folder gets the runner, its settings and the images, with `follow` also that run, and the tensors of a file that
    the library's own loader cannot read. Only the framework and numpy are needed beside them. Raises LayoutMismatch,
    OutputProblem.
    """
    check_folder_name(folder, "--prepare")
    examined, name, inputs = _chosen(file, framework, reading, key, images, follow)
    if name == CANONICAL:
        raise LayoutMismatch(f"{file}: effconvert itself runs the canonical network; run it here, with {option('out')}")
    carried = name_elsewhere(file)
    file_argument = f"./{carried}" if carried.startswith("-") else carried
    with new_folder(folder, force) as part:
        runner = write_runner(name, part)
        command = ["python", runner.name, file_argument, "--settings", "settings.json", "--inputs", "inputs.npz"]
        settings = settings_of(examined, name, inputs, follow)
        (part / "settings.json").write_text(json.dumps(settings, indent=1, sort_keys=True))
        save_arrays(part / "inputs.npz", _arrays_for(examined, inputs))
        if key or examined.is_nested:  # the library's own loader cannot read it
            save_arrays(part / "tensors.npz", examined.library_tensors())
            command += ["--tensors", "tensors.npz"]
        if follow:
            shutil.copyfile(follow, part / "feed.npz")
            command += ["--feed", "feed.npz"]
    return shlex.join([*command, "--out", "run.npz"])


def name_elsewhere(file: str | Path) -> str:
    """Return the file's name, also for a path that is only dots."""
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
            raise LayoutMismatch(f"{file}: is {examined.identity.variant.name}, but {follow} is a run of {variant}")
        channels = other.images.shape[1]
        if channels != examined.facts.in_channels:
            words = f"takes images with {examined.facts.in_channels} channels, but those of {follow} have {channels}"
            raise LayoutMismatch(f"{file}: {words}")
        return examined, name, Inputs(np.array(other.images), other.record["settings"]["inputs"])


def _arrays_for(file: NetworkFile, inputs: Inputs) -> Tensors:
    """Return the images, and the mean and std for networks that normalise images themselves, as Keras's do."""
    return {"images": inputs.images, "mean": np.array(file.recipe.mean), "std": np.array(file.recipe.std)}


def settings_of(file: NetworkFile, framework: str, inputs: Inputs, follow: Path | None) -> dict[str, Any]:
    """Return the settings of the runner of `framework`, which are also kept in the run."""
    identity = file.identity
    layout = identity.layout
    facts = file.facts if framework == CANONICAL else file.network_facts
    if framework != CANONICAL and identity.layout_name not in FRAMEWORKS[framework].layouts:
        raise LayoutMismatch(
            f"{file.path}: has the layout {identity.layout_name}, which {framework} cannot load; "
            f"{framework} loads {' and '.join(FRAMEWORKS[framework].layouts)}"
        )
    return {
        "schema": "effconvert/settings/1",
        "variant": identity.variant.name,
        "name": layout.variants[identity.variant.name] if layout else identity.variant.name,
        **facts.to_dict(),
        "facts": facts.to_dict(),
        "assumed": sorted(identity.assumed),
        "size": int(inputs.images.shape[-1]),
        "raw": file.coverage.taken == RAW and bool(file.other),
        "taken": file.coverage.taken,
        "usual": _has_usual_facts(file),
        "dtype": file.dtype,
        "rounded": dict(file.rounded),
        "sha256": dict(file.sha256),
        "inputs": dict(inputs.words),
        "inputs_sha256": inputs.sha256,
        "follows": file_sha256(follow) if follow else None,
        "reading": {name: getattr(file.options, name) for name in _READING} | {"leave": list(file.options.leave)},
        "tensors": {move.target: move.source for move in file.coverage.moves},
    }


def _has_usual_facts(file: NetworkFile) -> bool:
    """Return whether the facts are only the library's own from the map, not set by the user or the file.

    The library's network is then built without setting them, so that a mistake in the map becomes visible.
    """
    identity = file.identity
    said = {*(file.options.facts or {}), *identity.companion.facts}
    if identity.layout is None or identity.description is not None or said & {"bn_eps", "padding", "activation"}:
        return False
    plain = identity.layout.facts_of(identity.variant.name, default_facts(identity.variant))
    return identity.facts.bn_eps in usual_values(identity.layout, identity.variant, plain, "bn_eps")

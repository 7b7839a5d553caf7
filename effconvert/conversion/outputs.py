"""Outputs of a conversion: a file or folder is written under another name, read back, then renamed."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from effconvert.architecture.canonical import CANONICAL
from effconvert.atomic import check_folder_name, check_suffix, new_file, new_folder
from effconvert.conversion.graph_outputs import GraphOutput, graph_metadata, run_model
from effconvert.conversion.plan import Plan
from effconvert.conversion.targets import library_of
from effconvert.conversion.transfer import Transfer, written_problems
from effconvert.errors import OutputProblem, listing
from effconvert.formats import open_checkpoint
from effconvert.formats.checkpoint import Checkpoint, Late, TensorInfo
from effconvert.formats.onnx.file import OnnxCheckpoint
from effconvert.formats.safetensors import FORMAT as SAFETENSORS
from effconvert.formats.safetensors import library_problems
from effconvert.formats.write_behind import synced, written_behind
from effconvert.graphs.graph_options import ONNX, GraphOptions
from effconvert.graphs.graph_options import SUFFIX as GRAPH_SUFFIX
from effconvert.identify.description import digest
from effconvert.maps.layouts import known_layouts
from effconvert.option_words import option

BUNDLE_PREFIX = "model.ckpt"
# {suffix: (module of effconvert.formats, its writer)}
_WRITERS = {
    ".safetensors": ("safetensors", "write_safetensors"),
    ".pth": ("torch.file", "write_torch"),
    ".pt": ("torch.file", "write_torch"),
    ".bin": ("torch.file", "write_torch"),
    ".tar": ("torch.file", "write_torch"),
    ".ckpt": ("mindspore.file", "write_mindspore"),
    ".h5": ("keras.writers", "write_legacy"),
    ".weights.h5": ("keras.writers", "write_weights"),
    ".keras": ("keras.writers", "write_keras"),
}
SUFFIXES = tuple(_WRITERS)
_OF_ONE_LIBRARY = (".h5", ".weights.h5", ".keras")  # the names are Keras's layers; no other library opens these files
_DIGEST = "?" * 64


@dataclass(frozen=True)
class Written:
    """What was written: the tensors of the file, and what was seen when a graph was run, "" for a file of weights."""

    infos: tuple[TensorInfo, ...]
    execution: str = ""


def check_container(output: Path, to: str) -> None:
    """Raise OutputProblem if `output` cannot hold the layout `to`; the suffix decides the format."""
    library = library_of(to)
    if library.folder:
        check_folder_name(output)
        return
    if library.containers == (GRAPH_SUFFIX,):
        check_suffix(output, GRAPH_SUFFIX, option("out"))
        return
    if output.name.endswith(GRAPH_SUFFIX):
        raise OutputProblem(
            f"{output}: {GRAPH_SUFFIX} is a graph of ONNX, which convert writes with {option('to', ONNX)}"
        )
    suffix = _suffix(output)
    if suffix is None:
        raise OutputProblem(f"{output}: the suffix decides the format and must be one of {', '.join(_WRITERS)}")
    if suffix in _OF_ONE_LIBRARY and not suffix.endswith(library.containers or (CANONICAL,)):
        owner = next(layout for layout in known_layouts() if suffix.endswith(layout.library.containers or (CANONICAL,)))
        title = owner.library.title
        raise OutputProblem(f"{output}: {suffix} is {title}'s format and holds the layout {owner.name}, not {to}")


def write(
    output: Path, force: bool, plan: Plan, transfer: Transfer, hashes: "Future[dict[str, str]]", url: str | None
) -> Written:
    """Write the tensors of `transfer` by `plan`. Raises OutputProblem, and the errors of reading the source."""
    if plan.graph:
        return _write_graph(output, force, plan, plan.graph, transfer, hashes, url)
    folder = plan.target.layout.library.folder if plan.target.layout else ""
    writer = {"tensorflow": _write_bundle, "huggingface": _write_huggingface, "": _write_file}[folder]
    writer(output, force, plan, transfer, hashes, url)
    return Written(plan.infos)


def _suffix(output: Path) -> str | None:
    found = [suffix for suffix in _WRITERS if output.name.endswith(suffix) and output.name != suffix]
    return max(found, key=len, default=None)


def _write_file(
    output: Path, force: bool, plan: Plan, transfer: Transfer, hashes: "Future[dict[str, str]]", url: str | None
) -> None:
    suffix = _suffix(output)
    assert suffix
    with new_file(output, force) as (file, path):
        _write_container(file, suffix, plan, transfer, hashes, url)
        file.flush()
        with synced(file):
            _read_back(path, plan, transfer)


def _write_graph(
    output: Path,
    force: bool,
    plan: Plan,
    graph: GraphOptions,
    transfer: Transfer,
    hashes: "Future[dict[str, str]]",
    url: str | None,
) -> Written:
    made = GraphOutput(plan, transfer, graph)
    with new_file(output, force) as (file, path):
        metadata, late = _texts(plan, transfer, hashes, url, made)
        with written_behind(file) as behind:
            made.write(behind, metadata, late)
        file.flush()
        with synced(file):
            transfer.checkpoint.require_unchanged()
            _check_written(path, OnnxCheckpoint(path, folded=graph.fold), made.infos, made.checksums)
            return Written(made.infos, run_model(path, plan, transfer, graph))


def _write_container(
    file: Any, suffix: str, plan: Plan, transfer: Transfer, hashes: "Future[dict[str, str]]", url: str | None
) -> None:
    metadata, late = _texts(plan, transfer, hashes, url)
    module, writer = _WRITERS[suffix]
    write = getattr(import_module(f"effconvert.formats.{module}"), writer)
    if suffix in _OF_ONE_LIBRARY:  # h5py also reads what it wrote
        write(file, plan.infos, transfer, metadata, late)
        return
    with written_behind(file) as behind:
        write(behind, plan.infos, transfer, metadata, late)


def _texts(
    plan: Plan,
    transfer: Transfer,
    hashes: "Future[dict[str, str]]",
    url: str | None,
    made: GraphOutput | None = None,
) -> tuple[dict[str, str], Late]:
    """Return the metadata of the output, and a function that gives its hashes and digest after the last tensor.

    made: the graph, if one is written.
    """
    infos, checksums = (made.infos, made.checksums) if made else (plan.infos, transfer.checksums)
    names = [path.name for path in transfer.checkpoint.files]
    unknown = {name: f"{number:?>64}" for number, name in enumerate(names)}
    metadata = plan.description.to_metadata()
    source = {**plan.description.source, **unknown, **({"url": url} if url else {})}
    metadata["source"] = json.dumps(source, sort_keys=True)
    metadata["digest"] = _DIGEST
    if plan.graph:
        metadata = graph_metadata(metadata, plan.graph)

    def late() -> Mapping[str, str]:
        known = {unknown[name]: sha256 for name, sha256 in hashes.result().items()}
        final = dict(metadata)
        for placeholder, text in known.items():
            final["source"] = final["source"].replace(placeholder, text)
        return {**known, _DIGEST: digest(final, infos, checksums)}

    return metadata, late


def _write_bundle(
    output: Path, force: bool, plan: Plan, transfer: Transfer, hashes: "Future[dict[str, str]]", url: str | None
) -> None:
    from effconvert.formats.tensorflow.bundle import write_bundle
    from effconvert.formats.tensorflow.sidecar import write_sidecar

    with new_folder(output, force) as folder:
        index = folder / f"{BUNDLE_PREFIX}.index"
        data = folder / f"{BUNDLE_PREFIX}.data-00000-of-00001"
        with data.open("wb") as data_file, index.open("wb") as index_file, written_behind(data_file) as behind:
            write_bundle(behind, index_file, plan.infos, transfer)
        state = f'model_checkpoint_path: "{BUNDLE_PREFIX}"\nall_model_checkpoint_paths: "{BUNDLE_PREFIX}"\n'
        (folder / "checkpoint").write_text(state)
        metadata, late = _texts(plan, transfer, hashes, url)
        for placeholder, text in late().items():
            metadata = {name: value.replace(placeholder, text) for name, value in metadata.items()}
        write_sidecar(index, metadata)
        _read_back(index, plan, transfer)


def _write_huggingface(
    output: Path, force: bool, plan: Plan, transfer: Transfer, hashes: "Future[dict[str, str]]", url: str | None
) -> None:
    from effconvert.formats.huggingface.config import make_config
    from effconvert.formats.huggingface.preprocessor import make_preprocessor

    description = plan.description
    texts = {"config.json": make_config(plan.target.variant, plan.facts, description.recipe.size, description.labels)}
    if description.recipe.is_normalised:
        texts["preprocessor_config.json"] = make_preprocessor(description.recipe)
    with new_folder(output, force) as folder:
        for name, value in texts.items():
            (folder / name).write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
        path = folder / "model.safetensors"
        with path.open("w+b") as file:
            _write_container(file, ".safetensors", plan, transfer, hashes, url)
            with synced(file):
                _read_back(path, plan, transfer)


def _read_back(path: Path, plan: Plan, transfer: Transfer) -> None:
    """Read `path` with this project's reader, and a safetensors header also with its library.

    The source must still be the one whose hash was recorded.
    """
    transfer.checkpoint.require_unchanged()
    _check_written(path, open_checkpoint(path), plan.infos, transfer.checksums)


def _check_written(path: Path, opened: Checkpoint, infos: Sequence[TensorInfo], checksums: Mapping[str, int]) -> None:
    """Raise OutputProblem unless the opened file at `path` has these tensors, and a digest that fits."""
    with opened as written:
        problems = written_problems(written, infos, checksums)
        if written.format == SAFETENSORS:
            problems += library_problems(path, infos, written.metadata)
        if written.metadata and written.metadata.get("digest") != digest(written.metadata, infos, checksums):
            problems.append("its digest is not that of its tensors and metadata")
    if problems:
        raise OutputProblem(listing(f"{path}: the written file is different when read back:", problems))

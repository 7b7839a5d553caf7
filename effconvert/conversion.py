"""Converts a checkpoint: open, plan, move each tensor into the output, read it back, rename it into place."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effconvert.atomic import check_output, new_file, new_folder
from effconvert.canonical import is_trainable, tensor_shapes
from effconvert.description import digest
from effconvert.errors import LayoutMismatch, OutputProblem, listing
from effconvert.formats import Checkpoint, open_checkpoint
from effconvert.formats.safetensors import FORMAT as SAFETENSORS
from effconvert.formats.safetensors import library_problems, write_safetensors
from effconvert.formats.tensorflow import write_bundle
from effconvert.formats.torch import write_torch
from effconvert.identification import CANONICAL
from effconvert.options import Options
from effconvert.plan import DTYPES, NAMES, Plan, make_plan
from effconvert.transfer import Progress, Transfer, check_digest, start_examining, written_problems

BUNDLE_PREFIX = "model.ckpt"
_WRITERS = {".safetensors": write_safetensors, ".pth": write_torch, ".pt": write_torch}
_DIGEST = "?" * 64


@dataclass(frozen=True)
class Report:
    """What a conversion did.

    moved: tensors taken from the source. left_behind: {reason: how many}. parameters: trainable values. strange:
    tensors whose values no training gives. cautions: what a user should know.
    """

    source: str
    source_format: str
    layout: str
    variant: str
    weights: str | None
    taken: str
    moved: int
    left_behind: Mapping[str, int]
    facts: Mapping[str, Any]
    recipe: Mapping[str, Any]
    options: Mapping[str, Any]
    source_sha256: Mapping[str, str]
    map_sha256: str
    output: str
    output_layout: str
    tensors: int
    parameters: int
    nbytes: int
    strange: tuple[str, ...]
    cautions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return {**vars(self), "strange": list(self.strange), "cautions": list(self.cautions)}


def convert(
    source: str | Path,
    output: str | Path | None = None,
    *,
    to: str = CANONICAL,
    variant: str | None = None,
    weights: str | None = None,
    raw: bool = False,
    facts: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    drop_background_class: bool = False,
    names: str | None = None,
    force: bool = False,
    url: str | None = None,
    expected_sha256: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Convert the checkpoint at `source` into `output` and return a report.

    output: by default the variant's name, `b0.safetensors`. to: `canonical`, written as `.safetensors` or `.pth` by the
    output's suffix; or `tf-official`, written as a folder.
    variant: when the tensors do not say. weights: which training (`aa`, `ns`, …), for the recipe. raw: the raw weights
    instead of their averages. facts: replace what the layout says (`{"fused_stride": "expand"}`). dtype: `float32`,
    `float16` or `bfloat16` instead of the source's. names: which tensors `tf-official` gets: `raw`, `average`, `both`;
    by default both, of raw weights only the raw ones. url: where the source came from, for the record. expected_sha256:
    {file name: what it must be} of the source's files. progress: called with (bytes done, bytes in all).

    Raises MissingPath, UnreadableCheckpoint, LayoutMismatch, NumericMismatch or OutputProblem; the output is then as it
    was before.

    Example: `effconvert.convert("efficientnet-b0/", "b0.safetensors", weights="aa")`
    """
    source, output = Path(source), Path(output) if output else None
    _check_arguments(output, to, dtype, names)
    if output:
        check_output(output, force)
    options = Options(variant, weights, raw, facts, dtype, drop_background_class, names)
    with open_checkpoint(source) as checkpoint:
        plan = make_plan(checkpoint, to, options)
        output = output or Path(f"{plan.identity.variant.name}.safetensors")
        check_digest(checkpoint)
        transfer = Transfer(checkpoint, plan, progress)
        executor, hashes = start_examining(checkpoint, plan, expected_sha256 or {})
        try:
            if to == CANONICAL:
                _write_file(output, force, plan, transfer, hashes, url)
            else:
                _write_bundle_folder(output, force, plan, transfer, hashes)
            source_sha256 = hashes.result()
        finally:
            executor.shutdown(cancel_futures=True)
        return _report(source, output, checkpoint, plan, transfer, source_sha256)


def _check_arguments(output: Path | None, to: str, dtype: str | None, names: str | None) -> None:
    if dtype is not None and dtype not in DTYPES:
        raise LayoutMismatch(f"dtype {dtype!r} is unknown; known are {', '.join(DTYPES)}")
    if names is not None and names not in NAMES:
        raise LayoutMismatch(f"names {names!r} are unknown; known are {', '.join(NAMES)}")
    if output is None and to != CANONICAL:
        raise OutputProblem(f"{to}: give the folder to write")
    if output and to == CANONICAL and output.suffix not in _WRITERS:
        raise OutputProblem(f"{output}: the suffix decides the format and must be one of {', '.join(_WRITERS)}")


def _write_file(
    output: Path, force: bool, plan: Plan, transfer: Transfer, hashes: "Future[dict[str, str]]", url: str | None
) -> None:
    """Write a canonical file; its hashes and digest are put in when the last tensor has passed."""
    files = [path.name for path in transfer.checkpoint.files]
    unknown = {name: f"{number:?>64}" for number, name in enumerate(files)}
    metadata = plan.description.to_metadata()
    source = {**plan.description.source, **unknown, **({"url": url} if url else {})}
    metadata["source"] = json.dumps(source, sort_keys=True)
    metadata["digest"] = _DIGEST

    def late() -> dict[str, str]:
        known = {unknown[name]: sha256 for name, sha256 in hashes.result().items()}
        final = dict(metadata)
        for placeholder, text in known.items():
            final["source"] = final["source"].replace(placeholder, text)
        return {**known, _DIGEST: digest(final, plan.infos, transfer.checksums)}

    with new_file(output, force) as (file, path):
        _WRITERS[output.suffix](file, plan.infos, transfer, metadata, late)
        file.flush()
        _read_back(path, plan, transfer)


def _write_bundle_folder(
    output: Path, force: bool, plan: Plan, transfer: Transfer, hashes: "Future[dict[str, str]]"
) -> None:
    with new_folder(output, force) as folder:
        index = folder / f"{BUNDLE_PREFIX}.index"
        data = folder / f"{BUNDLE_PREFIX}.data-00000-of-00001"
        with data.open("wb") as data_file, index.open("wb") as index_file:
            write_bundle(data_file, index_file, plan.infos, transfer)
        state = f'model_checkpoint_path: "{BUNDLE_PREFIX}"\nall_model_checkpoint_paths: "{BUNDLE_PREFIX}"\n'
        (folder / "checkpoint").write_text(state)
        _read_back(index, plan, transfer)
        hashes.result()  # raises where the source is not what it should be


def _read_back(path: Path, plan: Plan, transfer: Transfer) -> None:
    """Read `path` by our reader, and a safetensors header by the library as well."""
    with open_checkpoint(path) as written:
        problems = written_problems(written, plan.infos, transfer.checksums)
        if written.format == SAFETENSORS:
            problems += library_problems(path, plan.infos, written.metadata)
        if written.metadata and written.metadata.get("digest") != digest(
            written.metadata, plan.infos, transfer.checksums
        ):
            problems.append("its digest is not that of its tensors and metadata")
    if problems:
        raise OutputProblem(listing(f"{path}: what was written does not read back:", problems))


def _report(
    source: Path,
    output: Path,
    checkpoint: Checkpoint,
    plan: Plan,
    transfer: Transfer,
    source_sha256: Mapping[str, str],
) -> Report:
    description = plan.description
    return Report(
        source=str(source),
        source_format=checkpoint.format,
        layout=plan.identity.layout_name,
        variant=description.variant,
        weights=description.weights,
        taken=description.taken,
        moved=len(plan.coverage.moves),
        left_behind=dict(sorted(Counter(plan.coverage.left_behind.values()).items())),
        facts=plan.facts.to_dict(),
        recipe=description.recipe.to_dict(),
        options=description.options,
        source_sha256=source_sha256,
        map_sha256=description.map_sha256,
        output=str(output),
        output_layout=plan.target,
        tensors=len(plan.infos),
        parameters=_parameters(plan),
        nbytes=sum(info.nbytes for info in plan.infos),
        strange=tuple(dict.fromkeys(transfer.strange)),
        cautions=plan.cautions,
    )


def _parameters(plan: Plan) -> int:
    shapes = tensor_shapes(plan.identity.variant, plan.facts)
    return sum(math.prod(shape) for name, shape in shapes.items() if is_trainable(name))

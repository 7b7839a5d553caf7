"""Saved runs: the outputs of every layer of a network for some images, and a record of network, file and images."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.budget import Budget, guarded
from effconvert.errors import NumericMismatch, UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.file_kinds import RUN, kind_of
from effconvert.formats.npz import NpzArchive
from effconvert.formats.strict_json import parse_json
from effconvert.hashing import file_sha256
from effconvert.paths import require_path
from effconvert.verification.comparison import (
    CONVERTED,
    END_TO_END,
    ISOLATED,
    REFERENCE,
    Comparison,
    Tolerance,
    agreement,
    difference,
)
from effconvert.verification.launching import RUNNERS
from effconvert.verification.runners.base import SCHEMA

_NEEDED = {
    "schema": str,
    "framework": str,
    "network": str,
    "loader": str,
    "file": str,
    "settings": dict,
    "layers": list,
    "inputs_sha256": str,
    "computing": dict,
    "versions": dict,
}
# The settings that a comparison or `--follow` needs.
_NEEDED_SETTINGS = {"dtype": str, "tensors": dict, "inputs": dict}


@dataclass(frozen=True)
class Run:
    """A run in a file; arrays are read when needed.

    record: the runner's own record. layers: their names in order.
    """

    path: Path
    record: Mapping[str, Any]
    arrays: NpzArchive = field(repr=False)

    @property
    def layers(self) -> Sequence[str]:
        """The names of the layers, in order."""
        return list(self.record["layers"])

    @property
    def words(self) -> str:
        """The framework with its version."""
        name, versions = self.record["framework"], self.record["versions"]
        packages = RUNNERS[name].packages if name in RUNNERS else ("effconvert",)
        known = [f"{package} {versions[package]}" for package in packages if package in versions]
        return f"{name} ({known[0]})" if known else name

    @property
    def images(self) -> NDArray[np.float32]:
        """The images [N, C, H, W]."""
        return self._read("images")

    @property
    def outputs(self) -> NDArray[np.float32]:
        """The output of the last layer, usually the logits, as [N, C]."""
        last = self.layer(self.layers[-1])
        return last.reshape(len(last), -1)

    def layer(self, name: str, mode: str = END_TO_END) -> NDArray[np.float32]:
        """Return the output of a layer, [N, C, H, W] or [N, C]."""
        return self._read(f"{'fed' if mode == ISOLATED else 'layer'}/{name}")

    def has(self, name: str, mode: str) -> bool:
        """Return whether the run has that output."""
        return f"{'fed' if mode == ISOLATED else 'layer'}/{name}" in self.arrays

    def tensors_of(self, layer: str) -> dict[str, str]:
        """Return {canonical tensor: its name in the run's file} of a layer, {} if the run does not record them."""
        return tensors_of_layer(self.record["settings"].get("tensors", {}), layer)

    def _read(self, name: str) -> NDArray[np.float32]:
        with guarded(self.path):
            array = _array(self.path, self.arrays, name)
        if array.dtype != np.float32 or array.ndim not in (2, 4) or not array.size:
            raise UnreadableCheckpoint(
                f"{self.path}: {name!r} is {array.dtype} {list(array.shape)}, which is not the output of a layer"
            )
        return np.asarray(array)


def tensors_of_layer(sources: Mapping[str, str], layer: str) -> dict[str, str]:
    """Return the part of {canonical tensor: name in a file} that belongs to a layer, named as in runs."""
    scopes = {"head": ("head.conv.", "head.bn."), "logits": ("head.fc.",)}.get(layer, (f"{layer}.",))
    return {name: source for name, source in sources.items() if name.startswith(scopes)}


def layer_of_tensor(name: str) -> str:
    """Return the layer of a canonical tensor, named as in runs."""
    first, second, *_ = name.split(".")
    return f"blocks.{second}" if first == "blocks" else "logits" if second == "fc" else first


@contextmanager
def open_run(path: str | Path) -> Iterator[Run]:
    """Give the run in the file at `path`.

    Raises MissingPath, and UnreadableCheckpoint for a file that is not a run, is damaged, or has a later schema.
    """
    path = require_path(path)
    if (kind := kind_of(path)) and kind != RUN:
        raise UnreadableCheckpoint(f"{path}: not a saved run but {kind.in_words()}")
    if path.is_dir():
        raise UnreadableCheckpoint(f"{path}: not a saved run, as `effconvert run` writes it (it is a folder)")
    with DataFile(path) as file:
        try:
            with guarded(path):
                run = _open(path, file)
        except (ValueError, TypeError) as error:
            raise UnreadableCheckpoint(f"{path}: not a saved run, as `effconvert run` writes it ({error})") from error
        yield run


def _open(path: Path, file: DataFile) -> Run:
    arrays = NpzArchive(file)
    try:
        return Run(path, _record(path, arrays, file.budget), arrays)
    except RecursionError:
        raise ValueError("its record is nested too deep") from None


def compare_runs(reference: Run, found: Run, tolerance: Tolerance, background: bool = False) -> Comparison:
    """Compare `found` with `reference`, layer by layer.

    Each layer is compared end to end and, if `found` followed `reference`, also isolated, with the reference's input.
    background: `found` lacks the first of the reference's classes. Raises NumericMismatch if the images differ, or if
    no layer can be compared.
    """
    if reference.record["inputs_sha256"] != found.record["inputs_sha256"]:
        differing = ", ".join(_told_apart(reference, found))
        raise NumericMismatch(
            f"{found.path}: its images are not those of {reference.path} ({differing}); "
            f"`effconvert run FILE --follow {reference.path}` uses the same images"
        )
    common = [name for name in reference.layers if name in found.layers]
    only = {name: REFERENCE for name in reference.layers if name not in common}
    only |= {name: CONVERTED for name in found.layers if name not in common}
    follows = found.record["settings"].get("follows") == file_sha256(reference.path)
    modes = (END_TO_END, ISOLATED) if follows else (END_TO_END,)

    rows = []
    for name in common:
        expected = reference.layer(name)[:, int(background) if name == "logits" else 0 :]
        rows += [
            difference(name, mode, expected, found.layer(name, mode), tolerance.of(mode))
            for mode in modes
            if found.has(name, mode)
        ]
    if not rows:
        raise NumericMismatch(f"{found.path} and {reference.path} have no layer in common, so nothing was compared")
    if "logits" not in common:
        return Comparison(tuple(rows), only, None, None)
    logits, others = reference.layer("logits")[:, int(background) :], found.layer("logits")
    shares = [agreement(logits, others, count) if logits.shape == others.shape else None for count in (1, 5)]
    return Comparison(tuple(rows), only, *shares)


def _told_apart(reference: Run, found: Run) -> Iterator[str]:
    """Yield the differences between the images of two runs, as far as the runs record them."""
    said = [run.record["settings"]["inputs"] for run in (reference, found)]
    names = [name for name in said[0] if name in said[1] and said[0][name] != said[1][name]]
    for name in names:
        one, other = (inputs[name] for inputs in said)
        if isinstance(one, dict) and isinstance(other, dict):  # a recipe
            for step in (step for step in one if one[step] != other.get(step)):
                yield f"{name}'s {step} {one[step]} and {other.get(step)}"
        else:
            yield f"{name} {one} and {other}"
    if not names:
        yield "other pixels"


def _array(path: Path, arrays: NpzArchive, name: str) -> NDArray[Any]:
    try:
        return arrays.read(name, kept=False)
    except ValueError as error:
        raise UnreadableCheckpoint(f"{path}: {error}") from error


def _record(path: Path, arrays: NpzArchive, budget: Budget) -> Mapping[str, Any]:
    if "run" not in arrays:
        raise ValueError("it has no record")
    record = parse_json(arrays.text("run", kept=False), budget)
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        found = record.get("schema") if isinstance(record, dict) else None
        raise UnreadableCheckpoint(f"{path}: has the schema {found!r}; this version of effconvert reads {SCHEMA!r}")
    wrong = [name for name, kind in _NEEDED.items() if not isinstance(record.get(name), kind)]
    settings = {} if "settings" in wrong else record["settings"]
    wrong += [f"settings.{name}" for name, kind in _NEEDED_SETTINGS.items() if not isinstance(settings.get(name), kind)]
    if wrong or not record["layers"] or not all(isinstance(name, str) for name in record["layers"]):
        raise ValueError(f"its record lacks {', '.join(wrong or ['layers'])}")
    return record

"""File of weights with its network."""

import hashlib
import json
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from effconvert.architecture.facts import Facts, complete
from effconvert.conversion.transfer import check_digest
from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import open_checkpoint
from effconvert.formats.checkpoint import BFLOAT16, Checkpoint
from effconvert.hashing import FileState
from effconvert.identify.candidates import own_root
from effconvert.identify.coverage import Coverage, read_network
from effconvert.identify.identification import Identity
from effconvert.identify.preprocessing import recipe_of, training_of
from effconvert.identify.weight_sets import AVERAGES, RAW
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_layout
from effconvert.options import Options
from effconvert.preprocessing.recipes import Recipe
from effconvert.verification.launching import framework_of
from effconvert.verification.runs import tensors_of_layer

if TYPE_CHECKING:
    from effconvert.model import EfficientNet

Tensors = dict[str, NDArray[Any]]
_PLAIN = Options()
_HALVES = ("float16", "bfloat16")


@dataclass(frozen=True)
class NetworkFile:
    """A file of weights.

    options: how it is read. identity: layout, variant and facts. coverage: the moves of the used set of weights to
    canonical. other: {canonical name: name in the file} of the other set, {} if there is only one. recipe: its
    preprocessing. dtypes: {canonical name: dtype}. key: for decryption. sha256: {name of each of its files: hash}.
    states: those of the files when they were examined; an archive is unpacked anew, so that its files have others.
    rounded: {canonical name: half precision to which its values are rounded when they are read}.
    """

    path: Path
    options: Options
    identity: Identity = field(repr=False)
    coverage: Coverage = field(repr=False)
    other: Mapping[str, str] = field(repr=False)
    recipe: Recipe
    dtypes: Mapping[str, str] = field(repr=False)
    key: bytes | None
    sha256: Mapping[str, str]
    states: tuple[FileState, ...]
    rounded: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the file and its network as plain values, for JSON."""
        description = self.identity.description
        return {
            "path": str(self.path),
            "sha256": dict(self.sha256),
            "layout": self.identity.layout_name,
            "variant": self.identity.variant.name,
            "weights": training_of(self.identity, self.options.weights),
            "taken": self.coverage.taken,
            "tensors": self.tensors_sha256,
            "coverage": self.coverage.counts(),
            "origin": description.origin() if description else None,
            "dtype": self.dtype,
            "facts": self.facts.to_dict(),
            "assumed": sorted(self.identity.assumed),
        }

    @property
    def dtype(self) -> str:
        """The coarsest dtype of its weights."""
        held = {*self.dtypes.values(), *self.rounded.values()}
        return next((name for name in reversed(_HALVES) if name in held), "float32")

    @property
    def facts(self) -> Facts:
        """The facts that the weights need."""
        return self.identity.facts

    @property
    def framework(self) -> str:
        """The framework of the file. Raises Unavailable without a runner."""
        return framework_of(self.identity.layout_name)

    @property
    def is_nested(self) -> bool:
        """Whether the weights are in a scope that the library itself would not write."""
        layout, root = self.identity.layout, self.identity.sets.roots[self.coverage.taken]
        return layout is not None and root not in ("", own_root(layout, self.identity.variant))

    @property
    def network_facts(self) -> Facts:
        """The facts of the library's network; after an inexact conversion they differ from those of the weights."""
        description = self.identity.description
        inexact = description.options.get("inexact") if description else None
        return complete(inexact["network"]) if inexact else self.facts

    @property
    def tensors_sha256(self) -> str:
        """The SHA-256 of the names and axes of the used tensors, so that another root gives another hash."""
        return hashlib.sha256(json.dumps(sorted(map(astuple, self.coverage.moves))).encode()).hexdigest()

    def tensors_of(self, layer: str) -> dict[str, str]:
        """Return {canonical tensor: its name in the file} of a layer, named as in runs."""
        return tensors_of_layer({move.target: move.source for move in self.coverage.moves}, layer)

    def canonical_tensors(self, only: Container[str] | None = None, other: bool = False) -> Tensors:
        """Return {canonical name: float32 array} of all tensors or `only` some, with `other` of the unused set."""
        with self.opened(other) as read:
            return {
                move.target: read(move.target) for move in self.coverage.moves if only is None or move.target in only
            }

    @contextmanager
    def opened(self, other: bool = False) -> Iterator[Callable[[str], NDArray[np.float32]]]:
        """Give a function from a canonical name to its float32 array, with `other` of the unused set."""
        moves = {move.target: move for move in self.coverage.moves}
        with self._reopened() as checkpoint:

            def read(name: str) -> NDArray[np.float32]:
                source = self.other[name] if other else moves[name].source
                return self._values(name, moves[name].apply(checkpoint.read(source)))

            yield read

    @contextmanager
    def _reopened(self) -> Iterator[Checkpoint]:
        """Give the checkpoint. Raises UnreadableCheckpoint if it is another one than was examined, also at the end."""
        with open_checkpoint(self.path, self.key) as checkpoint:
            if tuple(checkpoint.states.values()) != self.states and checkpoint.sha256() != self.sha256:
                raise UnreadableCheckpoint(f"{self.path}: was changed or replaced since it was examined; run again")
            yield checkpoint
            checkpoint.require_unchanged()

    def library_tensors(self) -> Tensors:
        """Return {the library's own name: float32 array in the library's axes}."""
        layout = self.identity.layout
        assert layout
        if layout.library.names_of:  # the file has no names; this layout names the same tensors
            layout = find_layout(layout.library.names_of)
        bare = layout.bare and not self.facts.classes
        moves = compile_layout(layout, self.identity.variant, self.facts, bare=bare).moves
        names = {move.target: move.source for move in moves}
        with self._reopened() as checkpoint:
            return {
                names[move.target]: self._values(move.target, checkpoint.read(move.source))
                for move in self.coverage.moves
            }

    def rounded_like(self, other: "NetworkFile") -> "NetworkFile":
        """Return the file read with every value rounded to the half precision that it has in `other`."""
        rounded = {
            name: dtype
            for name, dtype in other.dtypes.items()
            if dtype in _HALVES and self.dtypes.get(name, dtype) != dtype
        }
        return replace(self, rounded=rounded)

    def _values(self, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
        values = np.asarray(array, np.float32)
        if name not in self.rounded:
            return values
        return values.astype(BFLOAT16 if self.rounded[name] == "bfloat16" else self.rounded[name]).astype(np.float32)


def examine(path: str | Path, options: Options = _PLAIN, key: bytes | None = None) -> NetworkFile:
    """Identify the file at `path`; of `options`, those on how to read a file are used.

    Raises MissingPath, UnreadableCheckpoint, or LayoutMismatch with every problem.
    """
    path = Path(path)
    with open_checkpoint(path, key) as checkpoint:
        identity, coverage = read_network(checkpoint, options)
        check_digest(checkpoint)
        dtypes = {move.target: checkpoint.tensors[move.source].dtype.name for move in coverage.moves}
        sha256, states = checkpoint.sha256(), tuple(checkpoint.states.values())
        other = dict(_other_set(identity, coverage, checkpoint.tensors))
        if checkpoint.files == (checkpoint.path,):  # a folder with one file: frameworks load that file
            path = checkpoint.path
    recipe = recipe_of(identity, options.weights)
    return NetworkFile(path, options, identity, coverage, other, recipe, dtypes, key, sha256, states)


def _other_set(identity: Identity, coverage: Coverage, held: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (canonical name, name in the file) of the unused set, if the file has all of it."""
    other = RAW if coverage.taken == AVERAGES else AVERAGES
    found = [(move.target, move.source) for move in identity.sets.taking(other, identity.moves)]
    if other in identity.sets.names and all(name in held for _, name in found):
        yield from found


def network_of(file: NetworkFile) -> "EfficientNet":
    """Return the network of an examined file: float32, in eval mode, on the CPU."""
    import torch

    from effconvert.model import EfficientNet

    with torch.device("meta"):
        network = EfficientNet(file.identity.variant, file.facts)
    with file.opened() as read:
        state = {name: torch.from_numpy(np.array(read(name))) for name in network.state_dict()}
    network.load_state_dict(state, assign=True)
    network.recipe = file.recipe
    return network.eval()

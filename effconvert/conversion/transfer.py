"""The transfer of tensors, one at a time, with checks of values and checksums; and the check of the output."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from types import MappingProxyType
from typing import Self

import crc32c
import numpy as np

from effconvert.conversion.plan import Plan
from effconvert.errors import LayoutMismatch, NumericMismatch, UnreadableCheckpoint
from effconvert.formats.checkpoint import Array, Checkpoint, TensorInfo, as_bytes
from effconvert.formats.keras.config import IMAGENET_STD
from effconvert.formats.pieces import Pieces
from effconvert.identify.description import digest
from effconvert.option_words import flag, option

# A kernel, gamma or beta with equal values was never trained.
_CONSTANT_IS_STRANGE = (".conv.weight", ".fc.weight", ".bn.weight", ".bn.bias", ".reduce.weight", ".expand.weight")

_FEW = 0.01  # share of a kernel's values that may round to zero without a warning; for variances it is zero

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Zeroed:
    """Values of a tensor that became 0 in the dtype of the output: how many, of how many, and the largest of them."""

    values: int
    of: int
    largest: float
    dtype: str


class Transfer:
    """Lazy conversion of the tensors of a plan, in the order of the output; records checksums and strange values."""

    def __init__(self, checkpoint: Checkpoint, plan: Plan, progress: Progress | None = None) -> None:
        self.checkpoint, self.plan, self.progress = checkpoint, plan, progress
        self.canonical = plan.canonical
        self.checksums: dict[str, int] = {}
        self._read_checksums: dict[str, int] = {}
        self.strange: list[str] = []
        self.zeroed: dict[str, Zeroed] = {}  # tensors with values that became 0 in the output's dtype
        self.initial: set[str] = set()  # gammas of 1 and betas of 0, as a new network has them

    @property
    def untrained(self) -> str:
        """One sentence if all strange tensors are BatchNorm's first values, of several layers; "" otherwise."""
        layers = {name.rpartition(".")[0] for name in self.initial}
        if len(layers) < 2 or len(self.initial) < len(dict.fromkeys(self.strange)):
            return ""
        every = sum(name.endswith(".bn.weight") for name in self.canonical.values())
        words = f"{len(layers):,} of {every:,} BatchNorms have the values of a new network"
        return f"{words} (gamma 1, beta 0): was it trained?"

    def __iter__(self) -> Iterator[Pieces]:
        """Yield each output tensor, in pieces, and record their checksum.

        Raises UnreadableCheckpoint for damaged or edited data, NaN, infinity or a negative variance, NumericMismatch if
        a value does not fit the output's dtype, LayoutMismatch if an epsilon cannot be folded.
        """
        moves = {move.target: move for move in self.plan.moves}
        total, done = sum(info.nbytes for info in self.plan.infos), 0
        for info in self.plan.infos:
            if info.name in moves:
                move = moves[info.name]
                array = self._read(move.source)
                self._check_values(move.source, array)
                array = self._cast(move.apply(self._folded(move.source, array)), info)
            else:
                array = self._filled(info)
            pieces = Pieces(array)
            yield pieces
            self.checksums[info.name] = pieces.checksum
            del array, pieces  # free it before the next is read
            done += info.nbytes
            if self.progress:
                self.progress(done, total)
        check_digest(self.checkpoint, self._read_checksums)

    def _read(self, name: str) -> Array:
        array = self.checkpoint.read(name)
        if "digest" in self.checkpoint.metadata:
            self._read_checksums[name] = crc32c.crc32c(as_bytes(array))
        return array

    def _folded(self, name: str, array: Array) -> Array:
        """Return a variance that gives the same sum with the target's epsilon; any other tensor unchanged."""
        shift = self.plan.target.eps_shift
        if not shift or not self.canonical[name].endswith(".running_var"):
            return array
        folded: Array = (array.astype(np.float64) + shift).astype(np.promote_types(array.dtype, np.float32))
        if folded.size and folded.min() <= 0:
            doubt = self.plan.identity.doubt.of(["bn_eps"])
            told = f"; {doubt.words} (give it with {option('facts', {'bn_eps': '…'})})" if doubt else ""
            raise LayoutMismatch(
                f"{self.checkpoint.path}: tensor {name} ({self.canonical[name]}): {flag('fold_eps')} would make its "
                f"smallest variance {folded.min():g}, as {self.plan.target.name} adds {-shift:g} more than these "
                f"weights expect{told}"
            )
        return folded

    def _filled(self, info: TensorInfo) -> Array:
        """Return a filled tensor; the recipe's values are for pixels from 0 to 1."""
        value, recipe = self.plan.fill[info.name].value, self.plan.description.recipe
        if value == "mean":
            return (np.array(recipe.mean, np.float64) / 255).astype(info.dtype)
        if value == "variance":
            variance = (np.array(recipe.std, np.float64) / 255) ** 2
            if self.plan.facts.normalization == "keras-imagenet":  # its graph divides by the root of these again
                variance /= IMAGENET_STD
            return variance.astype(info.dtype)
        return np.array(value, info.dtype)

    def _check_values(self, name: str, array: Array) -> None:
        canonical = self.canonical[name]
        where = f"{self.checkpoint.path}: tensor {name} ({canonical})"
        if not array.size:
            return
        low, high = array.min(), array.max()  # both are NaN if a value is
        if not (np.isfinite(low) and np.isfinite(high)):
            at = np.argwhere(~np.isfinite(array))
            place = tuple(int(number) for number in at[0])
            raise UnreadableCheckpoint(
                f"{where}: {len(at):,} values are not finite, the first {array[place]} at {place}"
            )
        if canonical.endswith(".running_var") and low < 0:
            raise UnreadableCheckpoint(f"{where}: a variance is negative: {low}; it cannot be BatchNorm's")
        if low == high and array.size > 1 and canonical.endswith(_CONSTANT_IS_STRANGE):
            self.strange.append(f"{canonical} <- {name}: every value is {low}")
            if (canonical.endswith(".bn.weight") and low == 1) or (canonical.endswith(".bn.bias") and low == 0):
                self.initial.add(canonical)

    def _cast(self, array: Array, info: TensorInfo) -> Array:
        """Return `array` with the dtype of `info`."""
        if array.dtype == info.dtype:
            return array
        with np.errstate(over="ignore", under="ignore"):
            result = array.astype(info.dtype)
        if array.size and not (np.isfinite(result.min()) and np.isfinite(result.max())):
            largest = np.abs(array).max()
            raise NumericMismatch(f"{info.name}: {largest} does not fit {info.dtype}; bfloat16 has float32's range")
        lost = int(np.count_nonzero(array) - np.count_nonzero(result))
        if lost:
            self.zeroed[info.name] = Zeroed(lost, array.size, float(np.abs(array[result == 0]).max()), str(info.dtype))
        if lost > _FEW * array.size or (lost and info.name.endswith(".running_var")):
            self.strange.append(f"{info.name}: {lost:,} of {array.size:,} values became 0 in {info.dtype}")
        return result


class Examination:
    """The examination of the source in another thread, from its opening on, while the conversion goes on.

    hashes: {file name: SHA-256}. It raises UnreadableCheckpoint for a file that does not have its expected hash.
    """

    def __init__(self, checkpoint: Checkpoint, expected_sha256: Mapping[str, str]) -> None:
        self._checkpoint = checkpoint
        self._stopped = Event()
        self._executor = ThreadPoolExecutor(1)
        self.hashes = self._executor.submit(_sha256, checkpoint, expected_sha256, self._stopped)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stopped.set()
        self._executor.shutdown(cancel_futures=True)

    def finish(self, plan: Plan) -> Future[dict[str, str]]:
        """Also verify the checksums of tensors that stay behind: a file with any damage is not trusted.

        The future gives the hashes, and raises UnreadableCheckpoint for damage too.
        """
        names = sorted(plan.coverage.left_behind.keys() & self._checkpoint.tensors.keys())
        return self._executor.submit(self._verify, [] if "digest" in self._checkpoint.metadata else names)

    def _verify(self, names: Iterable[str]) -> dict[str, str]:
        found = self.hashes.result()
        for name in names:
            self._checkpoint.checksum(name)
        return found


def _sha256(checkpoint: Checkpoint, expected: Mapping[str, str], stopped: Event) -> dict[str, str]:
    found = checkpoint.sha256(stopped.is_set)
    for file in checkpoint.files:
        if expected.get(file.name, found[file.name]) != found[file.name]:
            raise UnreadableCheckpoint(
                f"{file}: has SHA-256 {found[file.name]}, expected {expected[file.name]}; it was changed after it was "
                f"recorded; delete {file.parent} and run again"
            )
    return found


def written_problems(written: Checkpoint, infos: Sequence[TensorInfo], checksums: Mapping[str, int]) -> list[str]:
    """Return the differences between the written file, read back, and the intended tensors."""
    meant = {info.name: info for info in infos}
    problems = [f"{name}: missing" for name in meant.keys() - written.tensors.keys()]
    problems += [f"{name}: unexpected" for name in written.tensors.keys() - meant.keys()]
    for name, info in written.tensors.items():
        if name in meant and info != meant[name]:
            problems.append(f"{name}: {info.dtype} {info.shape}, expected {meant[name].dtype} {meant[name].shape}")
    if problems:
        return problems
    found = tensor_checksums(written)
    return [f"{name}: other values than were written" for name in meant if found[name] != checksums[name]]


def tensor_checksums(checkpoint: Checkpoint, known: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
    """Return {name: CRC32C} of every tensor; two threads compute those that are not `known`."""
    names = [name for name in checkpoint.tensors if name not in known]
    with ThreadPoolExecutor(2) as executor:
        found = executor.map(checkpoint.checksum, names)
        return {**known, **dict(zip(names, found, strict=True))}


def check_digest(checkpoint: Checkpoint, known: Mapping[str, int] = MappingProxyType({})) -> None:
    """Compare the tensors and the metadata with the digest that the file carries, if it carries one.

    known: {name: CRC32C} of tensors that were read.

    Raises UnreadableCheckpoint if they differ.
    """
    stored = checkpoint.metadata.get("digest")
    if stored is None:
        return
    found = digest(checkpoint.metadata, list(checkpoint.tensors.values()), tensor_checksums(checkpoint, known))
    if found != stored:
        raise UnreadableCheckpoint(
            f"{checkpoint.path}: was changed after it was written: digest {found[:16]}…, its metadata says "
            f"{stored[:16]}…; convert it again"
        )

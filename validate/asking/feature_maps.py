"""What a network makes of images before it classifies: feature maps and pooled features, written as they come."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effconvert.atomic import check_output, new_file
from effconvert.errors import LayoutMismatch, NumericMismatch, OutputProblem
from effconvert.model.network import EfficientNet
from effconvert.options import Options
from effconvert.validate.asking.batches import named_images, read_batches
from effconvert.validate.data.image_hashes import Hashes
from effconvert.validate.evaluation.computing import Computing, choose_computing, exact_arithmetic
from effconvert.validate.subjects import Subject, check_finite, subject

SCHEMA = "effconvert/features/1"
INPUT, HEAD, POOLED = "0", "head", "pooled"
_LAST = 5
_PLAIN = Options()


@dataclass(frozen=True)
class SavedFeatures:
    """What was written: {name of an array: its shape, with the images first}, their dtype, the size of the file."""

    subject: Subject
    shapes: dict[str, tuple[int, ...]]
    dtype: str
    nbytes: int


@dataclass
class _Spill:
    """One array [N, …] on its way to the output: a file without a name that it is appended to."""

    file: IO[bytes]
    shape: tuple[int, ...] = ()

    def append(self, values: NDArray[Any]) -> None:
        self.shape = (sum(self.shape[:1]) + len(values), *values.shape[1:])
        self.file.write(np.ascontiguousarray(values).data)


def save_features(
    path: str | Path,
    images: Sequence[str | Path],
    out: Path,
    *,
    levels: Sequence[str] = (POOLED,),
    options: Options = _PLAIN,
    key: bytes | None = None,
    recipe: str | None = None,
    size: int | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    force: bool = False,
) -> SavedFeatures:
    """Write what the network in the file at `path` makes of images to the .npz `out`, whole or not at all.

    images: files and folders. levels: as `features` has them; the array of one is called `features`, those of several
    `level_3`, `head`, `pooled`. Beside them stand `names` [N] and `record`, a JSON text, with the hashes of the
    images' bytes. dtype: float32 or float16. For
    the others see `subject`. Memory holds one batch of images, however many there are.

    Raises MissingPath, OutputProblem, what `subject` does, LayoutMismatch for a level that the network does not have,
    DatasetProblem with every image that cannot be read, NumericMismatch for NaN and for what does not fit `dtype`.
    """
    check_output(out, force)
    files = named_images(images)
    _require_another_file(out, [Path(path), *files])
    computing = choose_computing(device, "float32")
    asked = subject(path, options, key, recipe, size)
    wanted = list(dict.fromkeys(levels))
    if HEAD in wanted and not asked.file.facts.head_conv:
        raise LayoutMismatch(f"{path}: a backbone without a head; its last map is that of level {_LAST}")
    names = {level: "features" if len(wanted) == 1 else _array_name(level) for level in wanted}
    with new_file(out, force) as (file, part), ExitStack() as stack:
        spills = {level: _Spill(stack.enter_context(tempfile.TemporaryFile(dir=out.parent))) for level in wanted}
        hashes = _spill(asked, computing, files, spills, dtype)
        arrays = {names[level]: spill for level, spill in spills.items()}
        record = {
            "schema": SCHEMA,
            **asked.record(),
            "computing": computing.record(),
            "levels": {names[level]: level for level in wanted},
            "dtype": dtype,
            "hashes": [row.tobytes().hex() for row in hashes],
        }
        _write(file, arrays, dtype, files, record)
        file.flush()
        return SavedFeatures(asked, {name: spill.shape for name, spill in arrays.items()}, dtype, part.stat().st_size)


def extract_features(network: EfficientNet, images: Tensor, levels: Sequence[str]) -> dict[str, Tensor]:
    """Return {level: what the network makes of `images` [N, 3, H, W]}.

    Level `0` is the images themselves, `1` to `5` are the maps at strides 2 to 32 (`EfficientNet.extract_features`),
    `head` is the map after the head's convolution, and `pooled` [N, C] the average of the last map there is.
    """
    after = {_LAST} if {HEAD, POOLED} & set(levels) else set()
    numbers = sorted({int(level) for level in levels if level.isdigit() and level != INPUT} | after)
    maps = dict(zip(numbers, network.extract_features(images, numbers), strict=True)) if numbers else {}
    found = {INPUT: images, **{str(number): feature_map for number, feature_map in maps.items()}}
    if after:
        found[HEAD] = maps[_LAST] if network.head is None else network.head(maps[_LAST])
        found[POOLED] = found[HEAD].mean((2, 3))
    return {level: found[level] for level in levels}


def _array_name(level: str) -> str:
    return f"level_{level}" if level.isdigit() else level


def _require_another_file(out: Path, read: Sequence[Path]) -> None:
    if out.exists() and any(path.exists() and path.samefile(out) for path in read):
        raise OutputProblem(f"{out}: is what is read; give another name with --out")


def _spill(
    asked: Subject, computing: Computing, files: Sequence[Path], spills: dict[str, _Spill], dtype: str
) -> Hashes:
    """Append what the network makes of the images, and return the hashes of these."""
    network, kept = None, []
    for paths, images, hashes in read_batches(files, asked.recipe):
        kept.append(hashes)
        network = network or asked.network().to(computing.device)  # not before images can be read
        with torch.inference_mode(), exact_arithmetic():
            found = extract_features(network, torch.from_numpy(images).to(computing.device), list(spills))
        for level, values in found.items():
            check_finite(values, paths, asked.file.path)
            spills[level].append(_cast(values.cpu().numpy(), dtype, level))
    return np.concatenate(kept)


def _cast(values: NDArray[np.float32], dtype: str, level: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        cast = values.astype(dtype)
    if not np.isfinite(cast).all():
        raise NumericMismatch(f"level {level}: {np.abs(values).max():g} does not fit {dtype}; leave --dtype out")
    return cast


def _write(
    file: BinaryIO, arrays: dict[str, _Spill], dtype: str, files: Sequence[Path], record: dict[str, Any]
) -> None:
    """Write the .npz as numpy does, uncompressed, but of arrays that are not in memory."""
    small = {"names": np.array([str(path) for path in files]), "record": np.array(json.dumps(record, sort_keys=True))}
    with zipfile.ZipFile(file, "w") as archive:
        for name, spill in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": spill.shape}
                np.lib.format.write_array_header_1_0(member, header)
                spill.file.seek(0)
                shutil.copyfileobj(spill.file, member, 1 << 20)
        for name, array in small.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)

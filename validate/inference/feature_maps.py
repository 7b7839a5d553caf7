"""Feature maps and pooled features of a user's images, written batch by batch."""

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

from effconvert.atomic import check_output, check_suffix, new_file
from effconvert.errors import LayoutMismatch, NumericMismatch, OutputProblem
from effconvert.model.network import EfficientNet
from effconvert.option_words import option
from effconvert.options import Options
from effconvert.validate.data.image_hashes import Hashes
from effconvert.validate.evaluation.computing import Computing, choose_computing, exact_arithmetic
from effconvert.validate.inference.batches import named_images, read_batches
from effconvert.validate.subjects import Subject, check_finite, load_subject

SCHEMA = "effconvert/features/1"
INPUT, HEAD, POOLED = "0", "head", "pooled"
_LAST = 5
_PLAIN = Options()


@dataclass(frozen=True)
class SavedFeatures:
    """A written file of features. shapes: {array name: shape, images first}. nbytes: size of the file."""

    subject: Subject
    shapes: dict[str, tuple[int, ...]]
    dtype: str
    nbytes: int


@dataclass
class _Spill:
    """An array [N, …] that grows in an unnamed temporary file until it is written to the output."""

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
    """Write the features of images, by the network in the file at `path`, to the .npz `out`, whole or not at all.

    images: files and folders. levels: as in `extract_features`. A single array is called `features`, several are called
    `level_3`, `head`, `pooled`. The file also has `names` [N] and `record`, a JSON string with the hashes of the
    images' bytes. dtype: float32 or float16. For the others see `load_subject`. Memory holds one batch of
    images at a time.

    Raises MissingPath, OutputProblem, the errors of `load_subject`, LayoutMismatch for a level that the network lacks,
    DatasetProblem with every image that cannot be read, NumericMismatch for NaN or values too large for `dtype`.
    """
    check_output(out, force)
    files = named_images(images)
    _require_another_file(out, [Path(path), *files])
    check_suffix(out, ".npz")
    computing = choose_computing(device, "float32")
    subject = load_subject(path, options, key, recipe, size)
    wanted = list(dict.fromkeys(levels))
    if HEAD in wanted and not subject.file.facts.head_conv:
        raise LayoutMismatch(f"{path}: is a backbone without a head; its last feature map is level {_LAST}")
    names = {level: "features" if len(wanted) == 1 else _array_name(level) for level in wanted}
    with new_file(out, force) as (file, part), ExitStack() as stack:
        spills = {level: _Spill(stack.enter_context(tempfile.TemporaryFile(dir=out.parent))) for level in wanted}
        hashes = _spill(subject, computing, files, spills, dtype)
        arrays = {names[level]: spill for level, spill in spills.items()}
        record = {
            "schema": SCHEMA,
            **subject.record(),
            "computing": computing.record(),
            "levels": {names[level]: level for level in wanted},
            "dtype": dtype,
            "hashes": [row.tobytes().hex() for row in hashes],
        }
        _write(file, arrays, dtype, files, record)
        file.flush()
        return SavedFeatures(subject, {name: spill.shape for name, spill in arrays.items()}, dtype, part.stat().st_size)


def extract_features(network: EfficientNet, images: Tensor, levels: Sequence[str]) -> dict[str, Tensor]:
    """Return {level: features of `images` [N, 3, H, W]}.

    Level `0` is the images themselves, `1` to `5` are the feature maps at strides 2 to 32
    (`EfficientNet.extract_features`), `head` is the map after the head's convolution, and `pooled` [N, C] is the
    average of the last map.
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
        raise OutputProblem(f"{out}: is an input of this command; give another name with {option('out')}")


def _spill(
    subject: Subject, computing: Computing, files: Sequence[Path], spills: dict[str, _Spill], dtype: str
) -> Hashes:
    """Append the features of all images to the spills, and return the hashes of the images."""
    network, kept = None, []
    for paths, images, hashes in read_batches(files, subject.recipe):
        kept.append(hashes)
        network = network or subject.network().to(computing.device)  # only once images are readable
        with torch.inference_mode(), exact_arithmetic():
            found = extract_features(network, torch.from_numpy(images).to(computing.device), list(spills))
        for level, values in found.items():
            check_finite(values, paths, subject.file.path)
            spills[level].append(_cast(values.cpu().numpy(), dtype, level))
    return np.concatenate(kept)


def _cast(values: NDArray[np.float32], dtype: str, level: str) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        cast = values.astype(dtype)
    if not np.isfinite(cast).all():
        raise NumericMismatch(
            f"level {level}: {np.abs(values).max():g} is too large for {dtype}; omit {option('dtype')}"
        )
    return cast


def _write(
    file: BinaryIO, arrays: dict[str, _Spill], dtype: str, files: Sequence[Path], record: dict[str, Any]
) -> None:
    """Write an uncompressed .npz as numpy does, from arrays that are not in memory."""
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

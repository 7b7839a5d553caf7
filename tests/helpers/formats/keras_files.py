"""Keras's own small files in tests/golden/keras, and what is in them; make.py beside them wrote them."""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from effconvert.formats import Array, TensorInfo
from effconvert.formats.keras.writers import write_keras, write_legacy, write_weights
from helpers import places

GOLDEN = places.GOLDEN / "keras"
METADATA = {"variant": "b0", "facts": json.dumps({"normalization": "outside"}), "ключ": 'a "quoted"\nline', "": ""}
WRITERS = {".h5": write_legacy, ".weights.h5": write_weights, ".keras": write_keras}


def plain(head: tuple[str, int] = ("predictions", 5)) -> dict[str, Array]:
    """Return {name: values} of the network `plain`; its last layer has another name and other outputs in `nested`."""
    shapes: dict[str, tuple[int, ...]] = {"normalization/mean": (3,), "normalization/variance": (3,)}
    shapes |= {"normalization/count": (), "stem_conv/kernel": (3, 3, 3, 4)}
    shapes |= {f"stem_bn/{name}": (4,) for name in ("gamma", "beta", "moving_mean", "moving_variance")}
    for number in range(11):
        shapes |= {f"wide{number}_conv/kernel": (1, 1, max(4, 3 + number), 4 + number)}
        shapes |= {f"wide{number}_conv/bias": (4 + number,)}
    shapes |= {"block1a_dwconv/kernel": (3, 3, 14, 1)}
    shapes |= {f"{head[0]}/kernel": (14, head[1]), f"{head[0]}/bias": (head[1],)}
    return {name: value(name, shape) for name, shape in shapes.items()}


def value(name: str, shape: tuple[int, ...]) -> Array:
    """Return what make.py gave the variable `name`."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    return np.asarray(random.uniform(1, 2, shape), np.int64 if name.endswith("/count") else np.float32)


def make(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str] = METADATA) -> Path:
    """Write `arrays` as the suffix of `path` says."""
    suffix = max((suffix for suffix in WRITERS if path.name.endswith(suffix)), key=len)
    infos = [TensorInfo(name, array.shape, array.dtype) for name, array in arrays.items()]
    with path.open("w+b") as file:
        WRITERS[suffix](file, infos, arrays.values(), metadata, dict)
    return path


def write_archive(path: Path, records: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    return path

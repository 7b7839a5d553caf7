"""Writers of Keras's files, without Keras, from tensors named `layer/variable`: `.h5`, `.weights.h5` and `.keras`."""

import json
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from effconvert.architecture.variants import find_variant
from effconvert.formats.checkpoint import BFLOAT16, Array, Late, TensorInfo
from effconvert.formats.keras.config import CONFIG_RECORD, KERAS, KERAS_IMAGENET, WEIGHTS_RECORD, model_config
from effconvert.formats.keras.config_layers import VARIABLES
from effconvert.formats.keras.file import METADATA_ATTRIBUTE
from effconvert.formats.pieces import Pieces, contents
from effconvert.formats.strict_json import metadata_text

# The oldest Keras with these names of variables. Without a version, Keras takes a file for one of Keras 1.
_KERAS_VERSION = "3.0.0"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_legacy(
    file: BinaryIO,
    infos: Sequence[TensorInfo],
    arrays: Iterable[Array | Pieces],
    metadata: Mapping[str, str],
    late: Late,
) -> None:
    """Write `arrays`, which `infos` describe in order, as the HDF5 weights that `load_weights` of Keras 2 and 3 takes.

    `metadata` becomes an attribute of the root, which Keras ignores; `late` is asked after the last tensor.
    """
    with _hdf5(file) as root:
        layers = _layers(infos)
        root.attrs["layer_names"] = [layer.encode() for layer in layers]
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = _KERAS_VERSION.encode()
        for layer, own in layers.items():
            root.create_group(layer).attrs["weight_names"] = [info.name.encode() for info in own]
        for info, pieces in contents(infos, arrays):
            _add(root[info.name.partition("/")[0]], info.name, pieces.whole())
        root.attrs[METADATA_ATTRIBUTE] = metadata_text(metadata, late, ensure_ascii=True)


def write_weights(
    file: BinaryIO,
    infos: Sequence[TensorInfo],
    arrays: Iterable[Array | Pieces],
    metadata: Mapping[str, str],
    late: Late,
) -> None:
    """Write `arrays`, which `infos` describe in order, as the `.weights.h5` of Keras 3.

    It numbers the layers of each class in the model's order, which must be that of `infos`, and the variables of each
    layer. `metadata` becomes an attribute of the root, which Keras ignores; `late` is asked after the last tensor.
    """
    with _hdf5(file) as root:
        _write_numbered(root, infos, arrays)
        root.attrs[METADATA_ATTRIBUTE] = metadata_text(metadata, late, ensure_ascii=True)


def write_keras(
    file: BinaryIO,
    infos: Sequence[TensorInfo],
    arrays: Iterable[Array | Pieces],
    metadata: Mapping[str, str],
    late: Late,
) -> None:
    """Write `arrays`, which `infos` describe in order, as the `.keras` file that `keras.models.load_model` takes.

    The graph follows from `metadata` (variant; the fact `normalization`, `keras` by default) and from the first kernel
    and the classifier among `infos`. `metadata` is stored with the weights, because Keras unpacks an archive with other
    records than its own; `late` is asked after the last tensor.
    """
    config = model_config(find_variant(metadata["variant"]), _classes(infos), _topology(metadata), _in_channels(infos))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        version = {"keras_version": _KERAS_VERSION, "date_saved": "1980-01-01@00:00:00"}
        archive.writestr(_record("metadata.json"), json.dumps(version))
        archive.writestr(_record(CONFIG_RECORD), json.dumps(config))
        # HDF5 is not written in order, so it cannot be written into an archive directly.
        with tempfile.TemporaryFile() as weights:
            write_weights(weights, infos, arrays, metadata, late)
            record = _record(WEIGHTS_RECORD)
            record.file_size = weights.seek(0, 2)
            weights.seek(0)
            with archive.open(record, "w") as target:
                shutil.copyfileobj(weights, target)


@contextmanager
def _hdf5(file: BinaryIO) -> Iterator[Any]:
    """Yield the root group of a new HDF5 file. By default, h5py writes no time stamps."""
    import h5py

    with h5py.File(file, "w", libver="earliest", track_order=False) as root:
        yield root


def _write_numbered(root: Any, infos: Sequence[TensorInfo], arrays: Iterable[Array | Pieces]) -> None:
    root.create_group("vars")  # the model's own variables: none
    counted: Counter[str] = Counter()
    places: dict[str, tuple[Any, str]] = {}
    for layer, own in _layers(infos).items():
        kind = _class(layer, own)
        path = f"layers/{kind}" + (f"_{counted[kind]}" if counted[kind] else "")
        counted[kind] += 1
        group = root.create_group(path).create_group("vars")
        group.attrs["name"] = layer
        for info in own:
            places[info.name] = (group, str(VARIABLES[kind].index(info.name.partition("/")[2])))
    for info, pieces in contents(infos, arrays):
        group, number = places[info.name]
        _add(group, number, pieces.whole())


def _add(group: Any, name: str, array: Array) -> None:
    dataset = group.create_dataset(name, data=array, track_times=False)
    if array.dtype == BFLOAT16:
        dataset.attrs["dtype"] = "bfloat16"


def _layers(infos: Sequence[TensorInfo]) -> dict[str, list[TensorInfo]]:
    """Return {layer: its tensors}, in order."""
    layers: dict[str, list[TensorInfo]] = {}
    for info in infos:
        layers.setdefault(info.name.partition("/")[0], []).append(info)
    return layers


def _class(layer: str, infos: Sequence[TensorInfo]) -> str:
    """Return the class of a layer in the spelling of `.weights.h5` files."""
    for kind in ("batch_normalization", "normalization"):
        if {info.name.partition("/")[2] for info in infos} == set(VARIABLES[kind]):
            return kind
    if layer.endswith("dwconv"):
        return "depthwise_conv2d"
    return "dense" if len(infos[0].shape) == 2 else "conv2d"


def _classes(infos: Sequence[TensorInfo]) -> int:
    return next((info.shape[0] for info in infos if info.name == "predictions/bias"), 0)


def _in_channels(infos: Sequence[TensorInfo]) -> int:
    return next((info.shape[2] for info in infos if info.name == "stem_conv/kernel"), 3)


def _topology(metadata: Mapping[str, str]) -> str:
    told = json.loads(metadata["facts"]).get("normalization")
    return KERAS_IMAGENET if told == KERAS_IMAGENET else KERAS


def _record(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(name, _EPOCH)

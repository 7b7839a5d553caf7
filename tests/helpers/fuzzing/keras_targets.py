"""Targets: HDF5, the archives of Keras, and the graph in them."""

import io
import json
from collections.abc import Sequence
from functools import cache

import h5py
import numpy as np

from effconvert.errors import LayoutMismatch, UnreadableCheckpoint
from effconvert.identify.inspection import inspect
from helpers.formats import keras_graphs
from helpers.fuzzing import zips
from helpers.fuzzing.checkpoint_files import METADATA, read_file
from helpers.fuzzing.target import Target, as_file


def _hdf5_file(attributes: dict[str, object]) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w", libver="earliest") as file:
        file.attrs.update(attributes)
        for name in ("layers/conv2d/vars/0", "layers/dense/vars/0", "layers/dense/vars/1"):
            file[name] = np.ones((2, 2), np.float32)
    return out.getvalue()


def _legacy_hdf5(config: str) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w", libver="earliest") as file:
        file.attrs["model_config"] = config
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"stem_conv", b"fc"]
        for layer in ("stem_conv", "fc"):
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = [f"{layer}/kernel:0".encode()]
            inner[f"{layer}/kernel:0"] = np.ones((2, 2), np.float32)
    return out.getvalue()


def _config() -> keras_graphs.Config:
    entrance = keras_graphs.layer("InputLayer", "entrance", batch_shape=[None, 4, 4, 3])
    layers = keras_graphs.chain(
        "entrance", ("Conv2D", "stem_conv"), ("GlobalAveragePooling2D", "pool"), ("Dense", "fc")
    )
    return {
        "class_name": "Functional",
        "config": {
            "name": "m",
            "layers": [entrance, *layers],
            "input_layers": [["entrance", 0, 0]],
            "output_layers": [["fc", 0, 0]],
        },
    }


def _hdf5_seeds() -> Sequence[bytes]:
    return [_hdf5_file({"effconvert": json.dumps(METADATA)}), _legacy_hdf5(json.dumps(_config()))]


def _keras_seeds() -> Sequence[bytes]:
    weights = _hdf5_file({})
    found = []
    for config in (
        _config(),
        keras_graphs.as_keras_2(_config()),
        keras_graphs.sequential(keras_graphs.layer("Dense", "fc")),
    ):
        records = [
            ("metadata.json", b"{}"),
            ("config.json", json.dumps(config).encode()),
            ("model.weights.h5", weights),
        ]
        found.append(zips.written(records))
    return found


def _read_graph(content: bytes) -> None:
    records = [("metadata.json", b"{}"), ("config.json", content), ("model.weights.h5", _hdf5_file_once())]
    inspect(as_file(zips.written(records)))


@cache
def _hdf5_file_once() -> bytes:
    return _hdf5_file({})


def _graph_seeds() -> Sequence[bytes]:
    small = [_config(), keras_graphs.as_keras_2(_config()), keras_graphs.sequential(keras_graphs.layer("Dense", "fc"))]
    return [json.dumps(config).encode() for config in small]


KERAS = [
    Target("hdf5", read_file, _hdf5_seeds),
    Target("keras", read_file, _keras_seeds, mutate=zips.mutate_zip()),
    Target("keras_graph", _read_graph, _graph_seeds, (UnreadableCheckpoint, LayoutMismatch)),
]

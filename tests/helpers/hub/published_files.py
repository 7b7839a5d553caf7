"""Files as each framework publishes them: its names, its containers, its 1000 or other classes; the values are made up.

What a container looks like: TensorFlow's archives hold a V2 bundle of raw weights and averages (of L2 the averages
alone); OpenMMLab's, timm's first and EfficientNet-PyTorch's files are of PyTorch before 1.6; Keras's of Keras 2.
"""

import hashlib
import io
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import safetensors.numpy
import torch

from effconvert.architecture.variants import VARIANTS
from effconvert.formats import Checkpoint, TensorInfo
from effconvert.formats.huggingface.config import make_config
from effconvert.formats.mindspore.file import write_mindspore
from effconvert.formats.tensorflow.bundle import write_bundle
from effconvert.hub.addresses import address, package_file
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_layout, invert
from effconvert.reference_tables.weights import Published
from helpers.hub.serving import make_archive
from helpers.library_files import Tensors, facts_of, library_tensors

AVERAGE = "/ExponentialMovingAverage"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def layout_of(row: Published) -> str:
    """The layout of the file; MindSpore's are of two libraries."""
    return {"tensorflow": "tf-official", "mindspore": row.recipe}.get(row.framework, row.framework)


def kind_of(row: Published) -> tuple[object, ...]:
    """What decides how the file is had and read: of all rows of one kind, one needs to be converted."""
    native = row.framework == "timm" and not row.network.startswith("tf_")
    return row.framework, layout_of(row), row.file_name.rpartition(".")[2], native, package_file(row.url) is not None


def averages_only(row: Published) -> bool:
    return "averaged tensors only" in row.note


def body_of(row: Published) -> bytes:
    """The bytes of the file of `row`."""
    tensors = library_tensors(layout_of(row), row.variant, classes=row.classes)
    return _WRITERS[row.framework](row, tensors)


def true_row(row: Published, body: bytes) -> Published:
    """`row` as it would be published had its file been `body`: with the hash of that wherever it has one."""
    sha256 = hashlib.sha256(body).hexdigest()
    beginning, dash, _ = row.url.rpartition("-")
    return replace(
        row,
        url=f"{beginning}{dash}{sha256[:8]}.pth" if row.url.endswith(".pth") else row.url,
        sha256=sha256 if row.sha256 else None,
        md5=hashlib.md5(body).hexdigest() if row.md5 else None,
    )


def put(row: Published, body: bytes, site: Path) -> None:
    """Put the file where it is had from: below `site` as on its host, or in a package installed in `site`."""
    if package := package_file(row.url):
        information = site / f"{package.name.replace('-', '_')}-{package.version}.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package.name}\nVersion: {package.version}\n"
        )
        files = {package.path: body}
    else:
        root = address(replace(row, url="https://host/"))
        files = {address(row).removeprefix(root): body}
        files |= {address(row, name).removeprefix(root): content for name, content in beside(row).items()}
    for name, content in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes(content)


def beside(row: Published) -> dict[str, bytes]:
    """What stands beside the file in its repository."""
    if row.framework != "huggingface":
        return {}
    facts = facts_of("huggingface", row.variant, classes=row.classes)
    labels = [f"class {number}" for number in range(row.classes)]
    steps = {
        "crop_size": {"height": 289, "width": 289},
        "do_center_crop": False,
        "image_mean": _MEAN,
        "image_std": [round(value**0.5, 8) for value in _STD],
        "include_top": True,
        "resample": 0,
        "size": {"height": row.size, "width": row.size},
    }
    said = {
        "config.json": make_config(VARIANTS[row.variant], facts, row.size, labels),
        "preprocessor_config.json": steps,
    }
    return {name: json.dumps(values).encode() for name, values in said.items()}


def _bundle(row: Published, averages: Tensors) -> bytes:
    raw = library_tensors("tf-official", row.variant, classes=row.classes, seed=1)
    variables = {} if averages_only(row) else dict(raw)
    variables |= {name + AVERAGE: averages[name] for name in averages if name != "global_step"}
    infos = [TensorInfo(name, variables[name].shape, variables[name].dtype) for name in sorted(variables)]
    data, index = io.BytesIO(), io.BytesIO()
    write_bundle(data, index, infos, (variables[info.name] for info in infos))
    return make_archive(
        row.file_name.removesuffix(".tar.gz"),
        {
            "checkpoint": b'model_checkpoint_path: "model.ckpt"\n',
            "model.ckpt.index": index.getvalue(),
            "model.ckpt.data-00000-of-00001": data.getvalue(),
        },
    )


def _mindspore(row: Published, tensors: Tensors) -> bytes:
    file = io.BytesIO()
    infos = [TensorInfo(name, array.shape, array.dtype) for name, array in tensors.items()]
    write_mindspore(file, infos, tensors.values(), {}, dict)
    # The project's own metadata is the last field; MindSpore writes none.
    plain = io.BytesIO()
    write_mindspore(plain, [], [], {}, dict)
    return file.getvalue()[: -len(plain.getvalue())]


def _torch(content: object, old: bool) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not old)
    return file.getvalue()


def _state(tensors: Tensors) -> OrderedDict[str, torch.Tensor]:
    return OrderedDict((name, torch.from_numpy(tensor)) for name, tensor in tensors.items())


def _timm(row: Published, tensors: Tensors) -> bytes:
    if row.url.endswith(".safetensors"):
        return safetensors.numpy.save(tensors, {"format": "pt"})
    return _torch(_state(tensors), old=row.network.startswith("tf_"))


def _keras(row: Published, tensors: Tensors) -> bytes:
    tensors |= {"normalization/mean": np.array(_MEAN, np.float32), "normalization/variance": np.array(_STD, np.float32)}
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        layer, _, variable = name.partition("/")
        variable = "depthwise_kernel" if layer.endswith("dwconv") and variable == "kernel" else variable
        layers.setdefault(layer, {})[f"{layer}/{variable}:0"] = tensor
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs.update(layer_names=[layer.encode() for layer in layers], backend=b"tensorflow")
        file.attrs["keras_version"] = b"2.3.0-tf"
        for layer, weights in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in weights]
            for name, tensor in weights.items():
                group[name] = tensor
    return buffer.getvalue()


_WRITERS: dict[str, Callable[[Published, Tensors], bytes]] = {
    "tensorflow": _bundle,
    "mindspore": _mindspore,
    "mmpretrain": lambda row, tensors: _torch({"meta": {"author": "mmcls"}, "state_dict": _state(tensors)}, old=True),
    "timm": _timm,
    "torchvision": lambda row, tensors: _torch(_state(tensors), old=False),
    "lukemelas": lambda row, tensors: _torch(_state(tensors), old=True),
    "keras": _keras,
    "huggingface": lambda row, tensors: _torch(_state(tensors), old=False),
}


class NamesOnly(Checkpoint):
    """A checkpoint with the names and shapes of the file of `row`, and no values but those of Keras's normalization."""

    format = "names and shapes"

    def __init__(self, path: Path, row: Published) -> None:
        super().__init__()
        self.path, self.files = path, (path,)
        self.skipped, self.metadata = {}, {}
        self.tensors = {info.name: info for info in _infos_of(row)}

    def read(self, name: str) -> np.ndarray:
        if "normalization/" not in name:
            raise AssertionError(f"{name} is read to make a plan")
        return np.array(_STD if name.endswith("variance") else _MEAN, np.float32)


@cache
def _infos(layout: str, variant: str, classes: int) -> dict[str, TensorInfo]:
    compiled = compile_layout(find_layout(layout), VARIANTS[variant], facts_of(layout, variant, classes=classes))
    floats = np.dtype(np.float32)
    moved = [TensorInfo(move.target, move.target_shape, floats) for move in invert(compiled.moves)]
    filled = [TensorInfo(name, fill.shape, np.dtype(fill.dtype)) for name, fill in compiled.fills.items()]
    return {info.name: info for info in (*moved, *filled)}


def _infos_of(row: Published) -> Iterator[TensorInfo]:
    infos = _infos(layout_of(row), row.variant, row.classes).values()
    if row.framework == "tensorflow":
        yield from (replace(info, name=info.name + AVERAGE) for info in infos if info.shape)
    if not averages_only(row):
        yield from infos

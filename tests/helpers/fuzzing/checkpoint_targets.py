"""Targets: the other readers of checkpoints, and of what stands beside them."""

import io
import json
import random
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from effconvert.deployed.files import inspect_deployed
from effconvert.errors import LayoutMismatch, UnreadableCheckpoint
from effconvert.formats.file_kinds import kind_of
from effconvert.identify.inspection import inspect
from helpers import places
from helpers.formats.building import make_safetensors
from helpers.formats.mindspore_files import GOLDEN, KEY, make_mindspore
from helpers.fuzzing.checkpoint_files import ARRAYS, METADATA, read_checkpoint, read_file
from helpers.fuzzing.target import Change, Target, as_file, in_parts, joined, made, own_folder, parted


def _safetensors_seeds() -> Sequence[bytes]:
    described = {"weight_b": np.ones((2, 2), np.float32), "flag": np.array([True])}
    sets = (ARRAYS, described)
    return [made(make_safetensors, arrays, METADATA) for arrays in sets]


def mutate_safetensors(content: bytes, change: Change, chosen: random.Random) -> bytes:
    """Return the file with its header changed and the length of the header right, or with anything changed."""
    start = 8 + int.from_bytes(content[:8], "little")
    if start > len(content) or chosen.randrange(4) == 0:
        return change(content)
    header = change(content[8:start])
    return len(header).to_bytes(8, "little") + header + content[start:]


def _mindspore_seeds() -> Sequence[bytes]:
    arrays = {name: array for name, array in ARRAYS.items() if array.size}
    return [
        made(make_mindspore, arrays),
        made(make_mindspore, {"x": np.ones((2, 2), np.float32)}, METADATA),
    ]


def _read_encrypted(content: bytes) -> None:
    read_checkpoint(as_file(content), KEY)


def _encrypted_seeds() -> Sequence[bytes]:
    found = sorted(GOLDEN.glob("ms2.10.0/enc_*.ckpt"), key=lambda path: path.stat().st_size)
    return [path.read_bytes() for path in found if "32" not in path.name][:3]


def _onnx_seeds() -> Sequence[bytes]:
    """Return a model of effconvert with two tensors, and one of an exporter with a kernel in another file."""
    from onnx import ModelProto, StringStringEntryProto, TensorProto, helper, numpy_helper

    def model(nodes: list[Any], tensors: dict[str, np.ndarray], shape: list[Any]) -> ModelProto:
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("images", "logits")]
        held = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
        return helper.make_model(helper.make_graph(nodes, "x", ends[:1], ends[1:], held), producer_name="effconvert")

    arrays = {"a.conv.weight": np.ones((2, 3, 1, 1), np.float32), "a.bn.weight": np.ones(2, np.float32)}
    nodes = [
        helper.make_node("Conv", ["images", "a.conv.weight"], ["a"]),
        helper.make_node("BatchNormalization", ["a", *["a.bn.weight"] * 4], ["logits"]),
    ]
    own = model(nodes, arrays, ["batch", 3, 8, 8])
    for key, value in {"effconvert": "0", "schema": "1", "graph": '{"size": 8}'}.items():
        own.metadata_props.add(key=key, value=value)
    foreign = model([helper.make_node("Softmax", ["images"], ["logits"])], {"k": np.ones(1, np.float32)}, [1, 8, 8, 3])
    foreign.graph.initializer[0].external_data.append(StringStringEntryProto(key="location", value="x.data"))
    return [one.SerializeToString() for one in (own, foreign)]


def _graph_seeds() -> Sequence[bytes]:
    """Return a graph with a normalisation in front, two convolutions and a softmax."""
    from onnx import TensorProto, helper, numpy_helper

    kernels = {"one": np.ones((4, 3, 3, 3), np.float32), "two": np.ones((2, 4, 1, 1), np.float32)}
    arrays = {**kernels, "mean": np.array([127], np.float32)}
    held = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    nodes = [
        helper.make_node("Sub", ["images", "mean"], ["a"]),
        helper.make_node("Conv", ["a", "one"], ["b"], strides=[2, 2], pads=[0, 0, 1, 1]),
        helper.make_node("Sigmoid", ["b"], ["c"]),
        helper.make_node("Mul", ["b", "c"], ["d"]),
        helper.make_node("Conv", ["d", "two"], ["e"]),
        helper.make_node("GlobalAveragePool", ["e"], ["f"]),
        helper.make_node("Softmax", ["f"], ["answers"], axis=1),
    ]
    ends = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, 8, 8]),
        helper.make_tensor_value_info("answers", TensorProto.FLOAT, ["n", 2, 1, 1]),
    ]
    graph = helper.make_graph(nodes, "x", ends[:1], ends[1:], held)
    return [helper.make_model(graph, producer_name="pytorch").SerializeToString()]


def _tflite_seeds() -> Sequence[bytes]:
    return [(places.GOLDEN / "deployed" / "tflite" / "uint8_pixels.tflite").read_bytes()]


def _read_graph(content: bytes) -> None:
    inspect_deployed(as_file(content)).to_dict()


def _read_shards(content: bytes) -> None:
    index, one, other = parted(content, 3)
    as_file(one, "model-00001-of-00002.safetensors")
    as_file(other, "model-00002-of-00002.safetensors")
    read_checkpoint(as_file(index, "model.safetensors.index.json"))


def _shards_seeds() -> Sequence[bytes]:
    one, other = ({name: ARRAYS[name]} for name in ("a/b", "half"))
    files = [made(make_safetensors, arrays) for arrays in (one, other)]
    names = {"a/b": "model-00001-of-00002.safetensors", "half": "model-00002-of-00002.safetensors"}
    index = {"metadata": {"total_size": 32}, "weight_map": names}
    return [joined(json.dumps(index).encode(), *files)]


def _read_folder(content: bytes) -> None:
    """Read a folder of Hugging Face: two texts of JSON beside weights that name nothing known."""
    folder = own_folder() / "folder"
    if not folder.exists():
        folder.mkdir()
        make_safetensors(folder / "model.safetensors", {"x": np.ones(1, np.float32)})
    for name, text in zip(("config.json", "preprocessor_config.json"), parted(content, 2), strict=True):
        (folder / name).write_bytes(text)
    from effconvert.formats.huggingface.config import read_config

    read_config(folder)
    inspect(folder)


def _folder_seeds() -> Sequence[bytes]:
    from effconvert.architecture.canonical import default_facts
    from effconvert.architecture.variants import VARIANTS
    from effconvert.formats.huggingface.config import make_config
    from effconvert.formats.huggingface.preprocessor import make_preprocessor
    from effconvert.preprocessing.recipes import recipe_for

    config = make_config(VARIANTS["b0"], default_facts(VARIANTS["b0"]))
    prepared = make_preprocessor(recipe_for("huggingface", "b0"))
    config.pop("id2label", None)
    config.pop("label2id", None)
    timm = {"architecture": "efficientnet_b0", "pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.9}}
    pairs: list[tuple[dict[str, Any], ...]] = [(config, prepared), (timm, {})]
    return [joined(*(json.dumps(one).encode() for one in pair)) for pair in pairs]


def _read_kind(content: bytes) -> None:
    kind_of(as_file(content))
    read_file(content)


def _kind_seeds() -> Sequence[bytes]:
    texts = [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
        b"<!doctype html><title>x</title>",
        b'{"schema": "effconvert/report/1"}',
    ]
    numpy_file = io.BytesIO()
    np.savez(numpy_file, x=np.ones(2))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("model.onnx", b"\x08\x07")
    caffe = b"\x0a\x04name\x12\x04none"
    return [
        *texts,
        numpy_file.getvalue(),
        packed.getvalue(),
        b"\x08\x07\x12\x07pytorch",
        caffe,
        b"TFL3" * 4,
        b"\x1f\x8b\x08\0" + bytes(20),
    ]


def _inspect(content: bytes) -> None:
    inspect(as_file(content))


def _described_seeds() -> Sequence[bytes]:
    facts = {"bn_eps": 0.001, "padding": "tf-same", "activation": "silu", "classes": 1000}
    recipe = {"name": "timm", "size": 224, "shorter_side": 256, "mean": [1, 2, 3], "std": [1, 2, 3]}
    said = {
        "format_version": "1",
        "variant": "b0",
        "weights": "aa",
        "layout": "timm",
        "facts": json.dumps(facts),
        "recipe": json.dumps(recipe),
    }
    names = {
        "blocks.0.0.conv_dw.weight": np.ones((32, 1, 3, 3), np.float32),
        "conv_stem.weight": np.ones((32, 3, 3, 3), np.float32),
    }
    module = {f"module.{name}": array for name, array in names.items()}
    return [made(make_safetensors, arrays, said) for arrays in (names, module)]


CHECKPOINTS = [
    Target("safetensors", read_file, _safetensors_seeds, mutate=mutate_safetensors),
    Target("description", _inspect, _described_seeds, (UnreadableCheckpoint, LayoutMismatch), mutate_safetensors),
    Target("shards", _read_shards, _shards_seeds, mutate=in_parts(3)),
    Target("mindspore", read_file, _mindspore_seeds),
    Target("mindspore_encrypted", _read_encrypted, _encrypted_seeds),
    Target("onnx", read_file, _onnx_seeds),
    Target("onnx_graph", _read_graph, _graph_seeds, (UnreadableCheckpoint, LayoutMismatch)),
    Target("tflite", _read_graph, _tflite_seeds, (UnreadableCheckpoint, LayoutMismatch)),
    Target("huggingface", _read_folder, _folder_seeds, (UnreadableCheckpoint, LayoutMismatch), in_parts(2)),
    Target("other_files", _read_kind, _kind_seeds),
]

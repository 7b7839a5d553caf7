"""Targets: the readers of checkpoints, by format."""

import gzip
import io
import json
import pickle
import random
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np

from effconvert.errors import LayoutMismatch, UnreadableCheckpoint
from effconvert.formats import open_checkpoint
from effconvert.formats.file_kinds import kind_of
from effconvert.formats.protobuf import WireError, fields
from effconvert.formats.tensorflow.leveldb_table import TableError, read_table, write_table
from effconvert.formats.tensorflow.sidecar import read_sidecar
from effconvert.formats.torch.tensors import PickleError
from effconvert.hashing import file_sha256
from effconvert.identify.description import read_description
from effconvert.identify.inspection import inspect
from helpers.formats import bundles, keras_graphs, pickles, tables
from helpers.formats.building import contents, make_bundle, make_safetensors, make_torch
from helpers.formats.mindspore_files import GOLDEN, KEY, make_mindspore
from helpers.fuzzing import zips
from helpers.fuzzing.bundles import mutate_bundle, mutate_table
from helpers.fuzzing.target import Change, Target, as_file, in_parts, joined, made, own_folder, parted

ARRAYS = {
    "a/b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "half": np.arange(4, dtype=np.float16),
    "scalar": np.array(7, np.int64),
    "empty": np.zeros((0, 2), np.float32),
    "brain": np.arange(3).astype(ml_dtypes.bfloat16),
}
METADATA = {"variant": "b0", "facts": '{"bn_eps": 0.001}'}
_SLICES = {((0, 1), (0, -1)): bytes(range(16)), ((1, 1), (0, -1)): bytes(range(16, 32))}


def read_checkpoint(path: Path, key: bytes | None = None) -> None:
    """Read all tensors of a checkpoint: each must be what was listed."""
    with open_checkpoint(path, key) as checkpoint:
        contents(checkpoint)


def _read_file(content: bytes) -> None:
    read_checkpoint(as_file(content))


def _safetensors_seeds() -> Sequence[bytes]:
    described = {"weight_b": np.ones((2, 2), np.float32), "flag": np.array([True])}
    sets = (ARRAYS, described)
    return [made(lambda folder, arrays=arrays: make_safetensors(folder / "x", arrays, METADATA)) for arrays in sets]


def mutate_safetensors(content: bytes, change: Change, chosen: random.Random) -> bytes:
    """Return the file with its header changed and the length of the header right, or with anything changed."""
    start = 8 + int.from_bytes(content[:8], "little")
    if start > len(content) or chosen.randrange(4) == 0:
        return change(content)
    header = change(content[8:start])
    return len(header).to_bytes(8, "little") + header + content[start:]


def _torch_seeds() -> Sequence[bytes]:
    state = {"state_dict": {}, "epoch": 3, "args": ("b0", 0.1)}
    return [
        made(lambda folder: make_torch(folder / "x", ARRAYS, METADATA)),
        made(lambda folder: pickles.write(folder / "x", pickles.state_dict(pickles.tensor()))),
        made(lambda folder: pickles.write(folder / "x", pickle.dumps(state, 2))),
    ]


def _legacy_seeds() -> Sequence[bytes]:
    two = pickles.state_dict(pickles.tensor(), behind=pickles.text("y") + pickles.tensor() + b"s")
    return [
        made(lambda folder, one=one: pickles.write_legacy(folder / "x", one))
        for one in (pickles.state_dict(pickles.tensor()), two)
    ]


def _read_pickle(content: bytes) -> None:
    try:
        pickles.load(content)
    except PickleError as error:
        raise UnreadableCheckpoint(str(error)) from error


def _pickle_seeds() -> Sequence[bytes]:
    whole = {"x": [1, 2.5, None, True, ("a", -1), b"bytes", 1 << 70], "y": {}, "z": {3}}
    arrays = {"array": np.arange(3), "long": list(range(40))}
    counter = (
        b"\x80\x02"
        + pickles.found("collections", "OrderedDict")
        + b")R}"
        + pickles.text("x")
        + pickles.integer(1)
        + b"s."
    )
    return [
        *(pickle.dumps(whole, protocol) for protocol in (2, 3, 4)),
        pickle.dumps(arrays, 2),
        pickles.state_dict(pickles.tensor()),
        counter,
    ]


def _bundle_of(index: Path) -> bytes:
    data = index.with_name(index.name.removesuffix(".index") + ".data-00000-of-00001")
    return joined(index.read_bytes(), data.read_bytes())


def _made_bundle(build: object) -> bytes:
    folder = own_folder() / "made"
    folder.mkdir(exist_ok=True)
    return _bundle_of(build(folder))  # type: ignore[operator]


def bundle_seeds() -> Sequence[bytes]:
    """Return bundles of whole tensors, and one whose tensor is in slices."""
    return [
        _made_bundle(lambda folder: make_bundle(folder / "model.ckpt", dict(sorted(ARRAYS.items())))),
        _made_bundle(lambda folder: bundles.write_sliced(folder, (2, 4), _SLICES)),
        _made_bundle(
            lambda folder: bundles.write(
                folder, {b"s": bundles.entry((1,), b"\x01a", dtype=bundles.STRING)}, [b"\x01a"]
            )
        ),
    ]


def read_bundle(content: bytes) -> None:
    """Read the bundle in an input: an index and one data file."""
    index, data = parted(content, 2)
    as_file(data, "model.ckpt.data-00000-of-00001")
    read_checkpoint(as_file(index, "model.ckpt.index"))


def _read_table(content: bytes) -> None:
    try:
        keys = [key for key, _ in read_table(content)]
    except TableError as error:
        raise UnreadableCheckpoint(str(error)) from error
    assert keys == sorted(set(keys))


def _table_seeds() -> Sequence[bytes]:
    shared = tables.block([tables.entry(b"", b"header"), tables.entry(b"a", b"1"), tables.entry(b"b", b"2", shared=1)])
    import cramjam

    snappy = bytes(cramjam.snappy.compress_raw(shared))
    many = write_table([(b"name/%03d" % number, b"value" * (number % 3)) for number in range(40)])
    return [tables.table([shared]), tables.table([snappy], kind=1), many, write_table([])]


def _read_sidecar(content: bytes) -> None:
    index = own_folder() / "side" / "model.ckpt.index"
    if not index.exists():
        index.parent.mkdir(exist_ok=True)
        make_bundle(index.with_suffix(""), {"x": np.ones(1, np.float32)})
    index.with_name("effconvert.json").write_bytes(content.replace(b"{}", file_sha256(index).encode(), 1))
    read_description(read_sidecar(index), str(index))


def _read_message(content: bytes) -> None:
    try:
        list(fields(content))
    except WireError as error:
        raise UnreadableCheckpoint(str(error)) from error


def _mindspore_seeds() -> Sequence[bytes]:
    arrays = {name: array for name, array in ARRAYS.items() if array.size}
    return [
        made(lambda folder: make_mindspore(folder / "x", arrays)),
        made(lambda folder: make_mindspore(folder / "x", {"x": np.ones((2, 2), np.float32)}, METADATA)),
    ]


def _read_encrypted(content: bytes) -> None:
    read_checkpoint(as_file(content), KEY)


def _encrypted_seeds() -> Sequence[bytes]:
    found = sorted(GOLDEN.glob("ms2.10.0/enc_*.ckpt"), key=lambda path: path.stat().st_size)
    return [path.read_bytes() for path in found if "32" not in path.name][:3]


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


def _hdf5_file_once() -> bytes:
    if not _KEPT:
        _KEPT.append(_hdf5_file({}))
    return _KEPT[0]


_KEPT: list[bytes] = []


def _graph_seeds() -> Sequence[bytes]:
    small = [_config(), keras_graphs.as_keras_2(_config()), keras_graphs.sequential(keras_graphs.layer("Dense", "fc"))]
    return [json.dumps(config).encode() for config in small]


def _read_shards(content: bytes) -> None:
    index, one, other = parted(content, 3)
    as_file(one, "model-00001-of-00002.safetensors")
    as_file(other, "model-00002-of-00002.safetensors")
    read_checkpoint(as_file(index, "model.safetensors.index.json"))


def _shards_seeds() -> Sequence[bytes]:
    one, other = ({name: ARRAYS[name]} for name in ("a/b", "half"))
    files = [made(lambda folder, arrays=arrays: make_safetensors(folder / "x", arrays)) for arrays in (one, other)]
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
    return [joined(*(json.dumps(one).encode() for one in pair)) for pair in ((config, prepared), (timm, {}))]


def _tar_of(files: dict[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def _tar_seeds() -> Sequence[bytes]:
    index, data = parted(bundle_seeds()[0], 2)
    files = {
        "b0/model.ckpt.index": index,
        "b0/model.ckpt.data-00000-of-00001": data,
        "b0/checkpoint": b'model_checkpoint_path: "m"',
    }
    long = {f"{'n' * 120}/{name}": content for name, content in files.items()}
    return [_tar_of(files), _tar_of(long, tarfile.GNU_FORMAT), _tar_of(long, tarfile.PAX_FORMAT)]


def mutate_tar(content: bytes, change: Change, chosen: random.Random) -> bytes:
    """Return the archive with a header or anything changed, and nearly always the sums of its headers right."""
    pick = chosen.randrange
    if pick(3):
        at = 512 * pick(len(content) // 512 + 1)
        content = content[:at] + change(content[at : at + 512])[:512].ljust(512, b"\0") + content[at + 512 :]
    else:
        content = change(content)
    return tar_mended(content) if pick(8) else content


def tar_mended(content: bytes) -> bytes:
    """Return the archive with the sum that each block has that looks like a header."""
    out = bytearray(content)
    for at in range(0, len(content) - 511, 512):
        if out[at + 257 : at + 262] == b"ustar":
            out[at + 148 : at + 156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % sum(out[at : at + 512])
    return bytes(out)


def _read_gzip(content: bytes) -> None:
    path = as_file(content, "model.tar.gz")
    read_checkpoint(path)


def _mutate_gzip(content: bytes, change: Change, chosen: random.Random) -> bytes:
    try:
        plain = gzip.decompress(content)
    except Exception:  # gzip raises many kinds
        return change(content)
    if chosen.randrange(4) == 0:
        return change(content)
    return gzip.compress(mutate_tar(plain, change, chosen), 1, mtime=0)


def _read_kind(content: bytes) -> None:
    kind_of(as_file(content))
    _read_file(content)


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
    return [
        made(lambda folder, arrays=arrays: make_safetensors(folder / "x", arrays, said)) for arrays in (names, module)
    ]


CHECKPOINTS = [
    Target("safetensors", _read_file, _safetensors_seeds, mutate=mutate_safetensors),
    Target("description", _inspect, _described_seeds, (UnreadableCheckpoint, LayoutMismatch), mutate_safetensors),
    Target("shards", _read_shards, _shards_seeds, mutate=in_parts(3)),
    Target("torch_zip", _read_file, _torch_seeds, mutate=zips.mutate_zip()),
    Target("torch_legacy", _read_file, _legacy_seeds),
    Target("pickle", _read_pickle, _pickle_seeds),
    Target("bundle", read_bundle, bundle_seeds, mutate=mutate_bundle),
    Target("table", _read_table, _table_seeds, mutate=mutate_table),
    Target(
        "sidecar",
        _read_sidecar,
        lambda: [json.dumps(METADATA | {"index_sha256": "{}"}).encode()],
        (UnreadableCheckpoint, LayoutMismatch),
    ),
    Target("protobuf", _read_message, lambda: [bundles.entry((3, 4), b"1234"), bundles.header()]),
    Target("mindspore", _read_file, _mindspore_seeds),
    Target("mindspore_encrypted", _read_encrypted, _encrypted_seeds),
    Target("hdf5", _read_file, _hdf5_seeds),
    Target("keras", _read_file, _keras_seeds, mutate=zips.mutate_zip()),
    Target("keras_graph", _read_graph, _graph_seeds, (UnreadableCheckpoint, LayoutMismatch)),
    Target("huggingface", _read_folder, _folder_seeds, (UnreadableCheckpoint, LayoutMismatch), in_parts(2)),
    Target("tar", _read_file, _tar_seeds, mutate=mutate_tar),
    Target("tar_gz", _read_gzip, lambda: [gzip.compress(one, 1, mtime=0) for one in _tar_seeds()], mutate=_mutate_gzip),
    Target("other_files", _read_kind, _kind_seeds),
]

"""Small files that ask a reader for gigabytes or minutes, a builder for each; none is larger than ten megabytes."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from itertools import accumulate, pairwise
from pathlib import Path

import crc32c
import h5py
import numpy as np

from effconvert.formats.protobuf import bytes_field, number_field, varint
from effconvert.formats.signatures import Format
from effconvert.formats.tensorflow.leveldb_table import masked
from effconvert.formats.tensorflow.slices import slice_key
from helpers.formats import bundles, pickles, tables
from helpers.formats.building import make_bundle

Bomb = Callable[[Path], Path]

_LISTS = b"[" + b"[]," * 9_000_000 + b"0]"  # 27 MB, which as values take 1 GB


def keras_json(folder: Path) -> Path:
    """A deflated config.json."""
    return _keras(folder, _LISTS, zipfile.ZIP_DEFLATED)


def keras_bzip2(folder: Path) -> Path:
    """A config.json in bzip2, which zipfile would unpack whole."""
    return _keras(folder, bytes(1 << 26), zipfile.ZIP_BZIP2)


def keras_lie(folder: Path) -> Path:
    """A config.json that unpacks to more than it declares."""
    path = _keras(folder, bytes(1 << 28), zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    for signature, field in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.find(signature, content.find(b"config.json") - 100 if field == 22 else 0)
        while content[at + (30 if field == 22 else 46) :][:11] != b"config.json":
            at = content.find(signature, at + 1)
        content[at + field : at + field + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    return path


def keras_references(folder: Path) -> Path:
    """HDF5: a list of texts that are all one and the same text of a megabyte."""
    path = folder / "x.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        texts = np.array(["x" * (1 << 20)] + ["y"] * 3_999, object)
        file.attrs.create("layer_names", texts, dtype=h5py.string_dtype())
    content = path.read_bytes()
    first = content.index(b"layer_names") + 64  # behind the name, the type and the shape
    path.write_bytes(content[:first] + content[first : first + 16] * 4_000 + content[first + 64_000 :])
    return path


def keras_nested(folder: Path) -> Path:
    """A model of two calls of a model of two calls of …: 2 to the power of 30 layers."""
    model = {"class_name": "Dense", "config": {"name": "x"}}
    for _ in range(30):
        call = [[["in", 0, 0, {}]], [["in", 0, 0, {}]]]
        first = {"class_name": "InputLayer", "config": {"name": "in"}, "inbound_nodes": []}
        ends = {"input_layers": [["in", 0, 0]], "output_layers": [["x", 0, 0], ["x", 1, 0]][:1]}
        layers = [first, {**model, "inbound_nodes": call}]
        model = {"class_name": "Functional", "config": {"name": "x", "layers": layers, **ends}}
    return _keras(folder, json.dumps(model).encode(), zipfile.ZIP_DEFLATED)


def torch_names(folder: Path) -> Path:
    """One list of 400,000 references below a name of 4,000 letters."""
    many = b"](" + pickles.tensor() + b"q\x00" + b"h\x00" * 400_000 + b"e"
    return pickles.write(folder / "x.pth", pickles.state_dict(many, name=pickles.text("x" * 4000)))


def torch_counter(folder: Path) -> Path:
    """A Counter that is copied again and again."""
    counter = pickles.found("collections", "Counter")
    counts = b"}(" + b"".join(pickles.integer(number) + b"N" for number in range(50_000)) + b"uq\x00"
    behind = pickles.text("y") + b"](" + counts + (counter + b"h\x00\x85R") * 40_000 + b"es"
    return pickles.write(folder / "x.pth", pickles.state_dict(b"N", behind=behind))


def torch_collisions(folder: Path) -> Path:
    """Whole numbers that all have the same hash."""
    numbers = b"".join(pickles.integer(number * ((1 << 61) - 1)) + b"N" for number in range(1, 200_000))
    return pickles.write(folder / "x.pth", pickles.state_dict(b"}(" + numbers + b"u"))


def torch_arguments(folder: Path) -> Path:
    """A function that is called with 300,000 arguments, 200,000 times."""
    call = pickles.found("torch._utils", "_rebuild_sparse_tensor") + b"q\x01(" + b"N" * 300_000 + b"tq\x00R"
    return pickles.write(folder / "x.pth", pickles.state_dict(call + b"0h\x01h\x00R" * 100_000))


def torch_keys(folder: Path) -> Path:
    """The key of a storage, 65 kB long, at each of 260,000 references."""
    key = pickles.text("0" * 65_000) + b"q\x00" + b"0"
    stored = b"(" + pickles.text("storage") + pickles.found("torch", "FloatStorage") + b"h\x00X\0\0\0\0K\x04tq\x010"
    value = key + stored + b"](" + b"h\x01Q" * 260_000 + b"e"
    return pickles.write(folder / "x.pth", pickles.state_dict(value))


def tensorflow_meta(folder: Path) -> Path:
    """A block that no reader needs, with 4,000 names of a megabyte that differ in the last letter."""
    return _table(folder, meta=[tables.entry(b"a" * 1_000_000, b""), *_longer(1_000_000, [b""] * 4_000)])


def tensorflow_index(folder: Path) -> Path:
    """150,000 blocks of one tensor each, whose names in the index have 600 kB."""
    header = tables.entry(b"", bundles.header())
    blocks = [_block([tables.entry(b"%06d" % number, b"") if number else header]) for number in range(150_000)]
    starts = accumulate(map(len, blocks), initial=0)
    handles = [varint(start) + varint(len(block) - 5) for start, block in zip(starts, blocks, strict=False)]
    first = tables.entry(b"a" * 600_000, handles[0])
    return _table(folder, b"".join(blocks), index=[first, *_longer(600_000, handles[1:])])


def tensorflow_names(folder: Path) -> Path:
    """5,000 tensors with names of 100 kB."""
    header = tables.entry(b"", bundles.header())
    return _table(folder, _block([header, tables.entry(b"a" * 100_000, b""), *_longer(100_000, [b""] * 5_000)]))


def tensorflow_slices(folder: Path) -> Path:
    """1,000 tensors of a gigabyte in one slice each, all of the same bytes of a sparse file."""
    shape, place = (1 << 14, 1 << 14), ((0, 1 << 14), (0, 1 << 14))
    entries: dict[bytes, bytes] = {}
    for number in range(1_000):
        name = f"x{number}"
        entries[name.encode()] = bundles.entry(shape, slices=[place])
        entries[slice_key(name, place)] = bundles.entry(shape, size=1 << 30)
    index = bundles.write(folder, entries)
    with index.with_name("model.ckpt.data-00000-of-00001").open("wb") as file:
        file.truncate(1 << 30)
    return index


def safetensors_json(folder: Path) -> Path:
    """A header of the most values that eight megabytes can hold."""
    header = b'{"x":[' + b"[]," * 2_700_000 + b"0]}"
    return _written(folder / "x.safetensors", len(header).to_bytes(8, "little") + header)


def index_json(folder: Path) -> Path:
    """An index of shards that holds as many values."""
    return _written(folder / "x.index.json", b'{"weight_map":[' + b"[]," * 2_700_000 + b"0]}")


def mindspore_values(folder: Path) -> Path:
    """400,000 tensors."""
    tensor = bytes_field(2, bytes_field(2, b"UInt8") + bytes_field(3, b"1"))
    values = b"".join(bytes_field(1, bytes_field(1, str(number).encode()) + tensor) for number in range(400_000))
    return _written(folder / "x.ckpt", values)


def onnx_nodes(folder: Path) -> Path:
    """400,000 operators, each of which reads the one before."""
    names = [b"", *(str(number).encode() for number in range(400_000))]
    nodes = (
        bytes_field(1, bytes_field(1, before) + bytes_field(2, name) + bytes_field(4, b"Relu"))
        for before, name in pairwise(names)
    )
    return _written(folder / "x.onnx", _onnx(b"".join(nodes)))


def onnx_tensors(folder: Path) -> Path:
    """400,000 initializers."""
    tensors = (bytes_field(5, bytes_field(8, str(number).encode())) for number in range(400_000))
    return _written(folder / "x.onnx", _onnx(b"".join(tensors)))


def onnx_metadata(folder: Path) -> Path:
    """400,000 pairs of strings."""
    pairs = (bytes_field(14, bytes_field(1, str(number).encode())) for number in range(400_000))
    return _written(folder / "x.onnx", _onnx(b"") + b"".join(pairs))


def archive_header(folder: Path) -> Path:
    """A .tar.gz of a long name of eight gigabytes, then nothing."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 8 << 30
    return _written(folder / "x.tar.gz", gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(10_240)))


def archive_table(folder: Path) -> Path:
    """A .tar.gz of one of TensorFlow's bombs."""
    index = tensorflow_meta(folder)
    with tarfile.open(folder / "x.tar.gz", "w:gz") as archive:
        for path in (index, index.with_name("model.ckpt.data-00000-of-00001")):
            archive.add(path, path.name)
    return folder / "x.tar.gz"


# Every format has some: a new one without a bomb fails the test of this table.
CHECKPOINTS: Mapping[Format, tuple[Bomb, ...]] = {
    Format.KERAS: (keras_json, keras_bzip2, keras_lie, keras_references, keras_nested),
    Format.TORCH: (torch_names, torch_counter, torch_collisions, torch_arguments, torch_keys),
    Format.TENSORFLOW: (tensorflow_meta, tensorflow_index, tensorflow_names, tensorflow_slices),
    Format.SAFETENSORS: (safetensors_json,),
    Format.JSON: (index_json,),
    Format.MINDSPORE: (mindspore_values,),
    Format.ONNX: (onnx_nodes, onnx_tensors, onnx_metadata),
    Format.ARCHIVE: (archive_header, archive_table),
}


def run_record(folder: Path) -> Path:
    """A saved run whose record is packed by bzip2."""
    return _numpy(folder, {"run": np.array("x" * (1 << 20))}, zipfile.ZIP_BZIP2)


def run_json(folder: Path) -> Path:
    """A saved run whose record holds millions of values."""
    return _numpy(folder, {"run": np.array(_LISTS.decode()[-9_000_000:])}, zipfile.ZIP_DEFLATED)


def predictions_record(folder: Path) -> Path:
    """Predictions whose record is packed by bzip2."""
    return _numpy(folder, {"validation": np.array("x" * (1 << 20))}, zipfile.ZIP_BZIP2)


def predictions_many(folder: Path) -> Path:
    """Predictions for two million images in less than a byte each."""
    count = 2_000_000
    return _numpy(
        folder, {"validation": np.array("{}"), "ids": np.zeros(count, np.int64), "names": np.zeros(count, "U20")}
    )


def verification_names(folder: Path) -> Path:
    """A verification of 300,000 values below a name of 80 kB."""
    asked = {"schema": "effconvert/verification/1", "x" * 80_000: [0] * 300_000}
    return _written(folder / "x.json", json.dumps(asked).encode())


def verification_list(folder: Path) -> Path:
    """A verification of five million zeros."""
    return _written(folder / "x.json", b"[" + b"0," * 4_900_000 + b"0]")


def labels_short(folder: Path) -> Path:
    """Labels of two and a half million images, each with a name of one letter."""
    return _written(folder / "labels.txt", b"a b\n" * 2_400_000)


def labels_alone(folder: Path) -> Path:
    """Five million ids of the development kit."""
    return _written(folder / "labels.txt", b"1\n" * 5_000_000)


def classes_short(folder: Path) -> Path:
    """Five million classes."""
    return _written(folder / "classes.txt", b"a\n" * 5_000_000)


def classes_json(folder: Path) -> Path:
    """A list of three million classes without a name."""
    return _written(folder / "classes.json", b"[" + b'"",' * 3_200_000 + b'""]')


RUNS: tuple[Bomb, ...] = (run_record, run_json)
REPORTED: tuple[Bomb, ...] = (predictions_record, predictions_many, verification_names, verification_list)


LABELS: tuple[Bomb, ...] = (labels_short, labels_alone)
CLASSES: tuple[Bomb, ...] = (classes_short, classes_json)


def _onnx(graph: bytes) -> bytes:
    """Return a model with the fields of a graph."""
    return number_field(1, 8) + bytes_field(2, b"pytorch") + bytes_field(7, graph)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _keras(folder: Path, config: bytes, method: int) -> Path:
    with zipfile.ZipFile(folder / "x.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", config, method)
        hdf5 = io.BytesIO()
        with h5py.File(hdf5, "w", libver="earliest") as file:
            file.create_group("layers")
        archive.writestr("model.weights.h5", hdf5.getvalue())
    return folder / "x.keras"


def _longer(start: int, values: list[bytes]) -> list[bytes]:
    """Return entries of these values whose keys are those before, and one letter more."""
    return [tables.entry(b"a", value, shared=start + number) for number, value in enumerate(values)]


def _table(
    folder: Path, blocks: bytes = b"", meta: list[bytes] | None = None, index: list[bytes] | None = None
) -> Path:
    """Write a bundle of these blocks, with these entries in the others."""
    path = make_bundle(folder / "model.ckpt", {"x": np.zeros(1, np.float32)})
    out = blocks or _block([tables.entry(b"", bundles.header())])
    handles = [varint(0) + varint(len(out) - 5)]
    for entries in (meta or [], index or [tables.entry(b"z", handles[0])]):
        content = _block(entries)
        handles.append(varint(len(out)) + varint(len(content) - 5))
        out += content
    path.write_bytes(out + b"".join(handles[1:]).ljust(40, b"\0") + tables.MAGIC)
    return path


def _block(entries: list[bytes]) -> bytes:
    content = tables.block(entries) + b"\0"
    return content + masked(crc32c.crc32c(content)).to_bytes(4, "little")


def _numpy(folder: Path, arrays: Mapping[str, np.ndarray], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(folder / "x.npz", "w", method) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(f"{name}.npy", content.getvalue())
    return folder / "x.npz"

"""Files that cannot be read: a table of their kinds, each with its name and what to do.

Only the beginning and the end of a file are read; nothing in it is unpacked, parsed as a whole or executed.
Sources of the signatures are the formats' own: onnx.proto, schema.fbs of TensorFlow Lite, graph.proto, Model.proto of
Core ML, mind_ir.proto, framework.proto of Paddle, ggml's gguf.md, NEP 1, APPNOTE.TXT, the msgpack specification.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from effconvert.formats.foreign.texts import GIVE_WEIGHTS, text_in_words
from effconvert.formats.protobuf import WireError, read_varint

_HEAD = 1 << 16
_SAMPLES = 16  # places to look at in a file that begins with zeros

# Members of the tar files of PyTorch before 0.2; one of them comes first.
_TAR_MEMBERS = (b"sys_info\0", b"pickle\0", b"tensors\0", b"storages\0")
# Possible next fields of an ONNX model: producer_version, domain, model_version, doc_string, graph, opset_import.
_AFTER_PRODUCER = (b"", b"\x1a", b"\x22", b"\x28", b"\x32", b"\x3a", b"\x42")

_PADDLE = b"StructuredToParameterName@@"  # a key of every dict that paddle.save writes
_EXPORTED = "give the checkpoint that it was exported from"
_UNPACK = "unpack it and give the checkpoint in it"
_OTHER = "give the file of another framework that it was ported from, if there is one"
_AGAIN = "download or copy it again"
_PICKLE = (
    "if you trust it, load it by pickle where it was made and write it again: torch.save(state_dict, 'weights.pth')"
)


def is_old_tar(start: bytes) -> bool:
    """Return whether a tar file that begins with `start` is one of torch.save before PyTorch 0.2."""
    return start[257:262] == b"ustar" and start.startswith(_TAR_MEMBERS)


@dataclass(frozen=True)
class Look:
    """The beginning and the end of a file, up to 64 kB each, and its size in bytes."""

    path: Path
    head: bytes
    tail: bytes
    size: int


@dataclass(frozen=True)
class Kind:
    """A kind of file, with its signs; a file of this kind must have all of them.

    pattern: a pattern of its beginning. test: the same as a function. suffixes: possible ends of its name. holds: bytes
    in its head or tail. beside: the suffix of a file beside it with the same name.
    """

    name: str
    remedy: str
    pattern: bytes = b""
    test: Callable[[bytes], bool] | None = None
    suffixes: tuple[str, ...] = ()
    holds: bytes = b""
    beside: str = ""


def look_at(path: Path) -> Look:
    """Read the beginning and the end of the file at `path`."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        size = file.seek(0, 2)
        file.seek(max(0, size - _HEAD))
        return Look(path, head, file.read(_HEAD), size)


def in_words(path: Path) -> str:
    """Return what the file at `path` is and, after a semicolon, what to do; "" if its kind is not known."""
    look = look_at(path)
    if not look.size:
        return f"an empty file (0 bytes); {_AGAIN}"
    if _holds_zeros_only(look):
        return f"a file of {look.size:,} zeros, perhaps an unfinished download; {_AGAIN}"
    return _kind_in_words(look, BY_CONTENT) or text_in_words(look.head, look.size) or _kind_in_words(look, BY_NAME)


def kind_of(look: Look, kinds: Iterable[Kind]) -> Kind | None:
    """Return the first of `kinds` that matches, None if none does."""
    return next((kind for kind in kinds if _is_of(kind, look)), None)


def _kind_in_words(look: Look, kinds: Iterable[Kind]) -> str:
    kind = kind_of(look, kinds)
    return f"{kind.name}; {kind.remedy}" if kind else ""


def begins_graph(head: bytes) -> bool:
    """Return whether a file begins like a GraphDef of TensorFlow: a node, its name, its operation.

    A checkpoint of MindSpore begins with the same field numbers, but has a message in place of the operation's name.
    """
    try:
        if head[:1] != b"\x0a":
            return False
        _, position = read_varint(head, 1)
        name, position = _text_at(head, position, b"\x0a")
        operation, _ = _text_at(head, position, b"\x12")
    except WireError:
        return False
    return bool(name.isprintable() and re.fullmatch(r"[A-Z_][A-Za-z0-9_>]+", operation))


def is_paddle(path: Path) -> bool:
    """Return whether the pickle at `path` is PaddlePaddle's; it looks like any dict of numpy arrays."""
    look = look_at(path)
    return _PADDLE in look.head or _PADDLE in look.tail


def _is_of(kind: Kind, look: Look) -> bool:
    if kind.pattern and not re.match(kind.pattern, look.head, re.DOTALL):
        return False
    if kind.test and not kind.test(look.head):
        return False
    if kind.suffixes and not look.path.name.lower().endswith(kind.suffixes):
        return False
    if kind.holds and kind.holds not in look.head and kind.holds not in look.tail:
        return False
    return not kind.beside or look.path.with_suffix(kind.beside).is_file()


def _holds_zeros_only(look: Look) -> bool:
    if look.head.strip(b"\0") or look.tail.strip(b"\0"):
        return False
    with look.path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek(look.size * number // _SAMPLES)
            if file.read(4096).strip(b"\0"):
                return False
    return True


def _text_at(data: bytes, position: int, key: bytes) -> tuple[str, int]:
    """Return the string in the protobuf field with `key` at `position`, and the end of the field. Raises WireError."""
    if data[position : position + 1] != key:
        raise WireError("another field")
    length, position = read_varint(data, position + 1)
    text = data[position : position + length]
    if not 0 < len(text) == length:
        raise WireError("not a string")
    return text.decode("utf-8", "replace"), position + length


def begins_onnx(head: bytes) -> bool:
    """Return whether a file begins like a ModelProto: ir_version, then producer_name, the graph or opset_import."""
    if not re.match(rb"\x08[\x01-\x7f][\x12\x3a\x42]", head):
        return False
    if head[2:3] != b"\x12":
        return True
    try:
        producer, end = _text_at(head, 2, b"\x12")
    except WireError:
        return False
    return producer.isascii() and producer.isprintable() and head[end : end + 1] in _AFTER_PRODUCER


def _is_caffe(head: bytes) -> bool:
    """Return whether a file begins like a NetParameter with its weights: its name, then a layer."""
    try:
        name, end = _text_at(head, 0, b"\x0a")
    except WireError:
        return False
    return name.isascii() and name.isprintable() and head[end : end + 2] in (b"\xa2\x06", b"\x12\x80")


def _is_msgpack(head: bytes) -> bool:
    """Return whether a file begins like a msgpack map with a printable string as its first key."""
    match = re.match(rb"(?:[\x81-\x8f]|\xde..|\xdf....)(?:([\xa1-\xbf])|\xd9(.))", head, re.DOTALL)
    if not match:
        return False
    length = match[1][0] & 0x1F if match[1] else match[2][0]
    key = head[match.end() : match.end() + length]
    return len(key) == length > 0 and re.fullmatch(rb"[A-Za-z_][\x20-\x7e]*", key) is not None


BY_CONTENT: tuple[Kind, ...] = (
    # exported networks
    Kind("a TensorFlow Lite model", _EXPORTED, rb".{4}TFL3"),
    Kind("an ONNX Runtime model", _EXPORTED, rb".{4}ORTM"),
    Kind("an ExecuTorch program", _EXPORTED, rb".{4}ET\d\d"),
    Kind("a PyTorch Mobile model", _EXPORTED, rb".{4}PTMF"),
    Kind("a MindSpore Lite model", _EXPORTED, rb".{4}MSL\d"),
    Kind("a MindIR graph of MindSpore", f"{_EXPORTED} (.ckpt)", rb"\x0a.\d+\.\d+\.\d+\x12.[ -~]*MindSpore"),
    Kind("a frozen TensorFlow graph (GraphDef)", f"{_EXPORTED}, or its SavedModel", test=begins_graph),
    Kind("a TensorFlow graph as text (GraphDef or MetaGraphDef)", _EXPORTED, rb"\s*(?:node|meta_info_def) ?\{"),
    Kind("a Core ML model", _EXPORTED, rb"\x08[\x01-\x20]\x12[\x80-\xff]*[\x00-\x7f]", suffixes=(".mlmodel",)),
    Kind(
        "the graph of a TensorFlow SavedModel", "give its folder, where variables/ holds the weights",
        rb"\x08\x01\x12[\x80-\xff]*[\x00-\x7f]\x0a", holds=b"tensorflow",
    ),
    Kind("an ONNX model", _EXPORTED, test=begins_onnx),
    Kind("a Core ML model", _EXPORTED, rb"\x08[\x02-\x20]\x12[\x80-\xff]*[\x00-\x7f]\x0a"),
    Kind("a TensorRT engine", _EXPORTED, rb"[pf]trt"),
    Kind("a GGUF file", _EXPORTED, rb"GGUF"),
    Kind("a GGML file", _EXPORTED, rb"lmgg|tjgg|fmgg"),
    Kind("an RKNN model", _EXPORTED, rb"RKNN"),
    Kind("an ncnn network", _EXPORTED, rb"7767517\s"),
    # weights of other frameworks
    Kind(
        "weights of PaddlePaddle, which are not read here", _OTHER,
        rb"\x80[\x02-\x05]", holds=_PADDLE,
    ),
    Kind("a PaddlePaddle program", _EXPORTED, rb"\x0a[\x80-\xff]*[\x00-\x7f]\x08\x00\x10\xff"),
    Kind("a Caffe model", _EXPORTED, test=_is_caffe),
    Kind("weights of MXNet, which are not read here", _OTHER, rb"\x12\x01\0\0\0\0\0\0"),
    Kind(
        "a file of Lua Torch, which is not read here", _OTHER,
        rb"[\x03\x04]\0\0\0\x01\0\0\0(?:\x03\0\0\0V 1|.{4}[\x01-\x08]\0\0\0)",
    ),
    Kind("msgpack, as JAX (Flax) writes weights, which is not read here", _OTHER, test=_is_msgpack),
    # data
    Kind("an array of numpy (.npy)", "write the tensors with their names: torch.save or safetensors", rb"\x93NUMPY"),
    Kind("a pickle that torch.save did not write", _PICKLE, rb"\x80[\x02-\x05]|\((?:dp|lp)\d+\n"),
    Kind("a MATLAB file", GIVE_WEIGHTS, rb"MATLAB \d"),
    Kind("a log of TensorBoard", GIVE_WEIGHTS, rb".{12}\x09.{8}\x1a.brain\.Event:"),
    Kind("an SQLite database", GIVE_WEIGHTS, rb"SQLite format 3\0"),
    Kind("a Parquet file", GIVE_WEIGHTS, rb"PAR1"),
    Kind("an Arrow file", GIVE_WEIGHTS, rb"ARROW1\0"),
    Kind("a PDF document", GIVE_WEIGHTS, rb"%PDF-"),
    Kind("an image", GIVE_WEIGHTS, rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF.{4}WEBP|BM.{4}\0\0\0\0"),
    Kind("a program or library", GIVE_WEIGHTS, rb"\x7fELF|MZ.{58}|\xcf\xfa\xed\xfe"),
    Kind("a file of macOS beside another file", "give the file without '._' in its name", rb"\0\x05\x16\x07"),
    Kind("a property list of Apple", f"{GIVE_WEIGHTS}; if it is in iCloud, download it first", rb"bplist00"),
    # packed and encrypted files
    Kind("a tar file of PyTorch before 0.2", "load it in torch and torch.save it again", test=is_old_tar),
    Kind("a 7z archive", f"{_UNPACK} (7z x)", rb"7z\xbc\xaf\x27\x1c"),
    Kind("a RAR archive", f"{_UNPACK} (unrar x)", rb"Rar!\x1a\x07"),
    Kind("a file packed by zstd", "unpack it first (zstd -d)", rb"\x28\xb5\x2f\xfd"),
    Kind("a file packed by lz4", "unpack it first (lz4 -d)", rb"\x04\x22\x4d\x18"),
    Kind("a file packed by lzip", "unpack it first (lzip -d)", rb"LZIP\x01"),
    Kind("a file packed by compress (.Z)", "unpack it first (uncompress)", rb"\x1f\x9d"),
    Kind("a file packed by snappy", "unpack it first", rb"\xff\x06\0\0sNaPpY"),
    Kind("a file encrypted by OpenSSL", "decrypt it first", rb"Salted__"),
    Kind("a file encrypted by GnuPG or age", "decrypt it first", rb"age-encryption.org/|-----BEGIN PGP MESSAGE"),
)  # fmt: skip

# Kinds without a signature, by their names; tried last.
BY_NAME: tuple[Kind, ...] = (
    Kind("the weights of an OpenVINO model", _EXPORTED, suffixes=(".bin",), beside=".xml"),
    Kind("the weights of an ncnn network", _EXPORTED, suffixes=(".bin",), beside=".param"),
    Kind("weights of PaddlePaddle, which are not read here", _OTHER, suffixes=(".pdparams", ".pdiparams", ".pdopt")),
    Kind("by its name, an ONNX model", _EXPORTED, suffixes=(".onnx",)),
    Kind("by its name, a TensorFlow Lite model", _EXPORTED, suffixes=(".tflite", ".lite")),
    Kind("by its name, a TensorFlow graph", f"{_EXPORTED}, or its SavedModel's folder", suffixes=(".pb", ".pbtxt")),
    Kind("by its name, a Caffe model", _EXPORTED, suffixes=(".caffemodel", ".prototxt")),
    Kind("by its name, a Core ML model", _EXPORTED, suffixes=(".mlmodel",)),
    Kind("by its name, a TensorRT engine", _EXPORTED, suffixes=(".engine", ".trt", ".plan")),
    Kind("by its name, a MindSpore graph", f"{_EXPORTED} (.ckpt)", suffixes=(".mindir", ".air", ".ms")),
    Kind("an unfinished download", _AGAIN, suffixes=(".crdownload", ".part", ".partial", ".incomplete", ".download")),
)  # fmt: skip

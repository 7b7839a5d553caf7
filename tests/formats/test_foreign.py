"""Each kind of file that is not read is named for what it is, with the one thing to do, in one line and exit code 3."""

import bz2
import gzip
import io
import lzma
import pickle
import random
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from effconvert.formats import Array
from effconvert.formats.foreign.files import BY_CONTENT, BY_NAME
from effconvert.formats.protobuf import bytes_field, number_field
from helpers.formats.building import examples, make_safetensors, make_torch, peak_memory, read_all, refusal
from helpers.running import Ran

AGAIN = "download the file again"
EXPORTED = "give the checkpoint that it was exported from"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 21388428\n"
NODE = bytes_field(1, b"input") + bytes_field(2, b"Placeholder")
GRAPH = bytes_field(1, NODE + bytes_field(5, b"\n\x05dtype\x12\x020\x01")) * 9
META = bytes_field(2, bytes_field(1, bytes_field(4, b"serve") + bytes_field(5, b"2.15 tensorflow")))
FLATBUFFER = b"\x1c\0\0\0%s\x14\0\x20\0\x1c\0\x18\0\x14\0\x10\0"

TEXTS: dict[str, tuple[bytes, str]] = {
    "LFS": (LFS, f"a Git LFS pointer (sha256:{'4d' * 32}, 21,388,428 bytes) in place of the file; get the file by `git lfs pull`"),
    "git-annex": (b"/annex/objects/SHA256E-s21388428--4d4d.pth\n", "a git-annex pointer in place of the file; get the file by `git annex get`"),
    "DVC": (b"outs:\n- md5: " + b"4d" * 16 + b"\n  size: 7\n  path: b0.pth\n", f"a DVC pointer (md5: {'4d' * 16}, 7 bytes)"),
    "Xet": (b"# xet version 0\nfilesize = 7\n", "a Git Xet pointer"),
    "HTML": (b"<!DOCTYPE html><html><head><title>Sign in &amp;\n go</title>", f"an HTML page ('Sign in & go') in place of the file, such as a login page or an error; {AGAIN}"),
    "HTML without a title": (b"\n<html>\n<body>", "an HTML page in place of the file"),
    "HTML after a mark": (b"\xef\xbb\xbf<!doctype HTML>\n", "an HTML page in place of the file"),
    "HTML after a comment": (b"<!-- saved --><html><h1>404</h1>", "an HTML page ('404') in place of the file"),
    "HTML in UTF-16": ("<html><title>Entry</title>".encode("utf-16"), "an HTML page ('Entry') in place of the file"),
    "HTML with escapes": (b"<html><title>\x1b[31mred</title>", "not a checkpoint of a known format"),
    "XML error": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", f"an error of a server as XML ('AccessDenied') in place of the file; {AGAIN}"),
    "XML": (b"<?xml version='1.0'?><annotation/>", "an XML file; give the file of the weights"),
    "OpenVINO": (b"<?xml version='1.0'?><net name='b0' version='11'>", f"an OpenVINO model; {EXPORTED}"),
    "a server's word": (b"Not Found", f"a text file ('Not Found'), perhaps an error of a server in place of the file; {AGAIN}"),
    "another word": (b"Access denied", "perhaps an error of a server in place of the file"),
    "the hub's word": (b"Entry not found\n", "perhaps an error of a server in place of the file"),
    "a gate": (b"Access to model x is restricted. You must be authenticated.", "perhaps an error of a server in place of the file"),
    "JSON error": (b'{"error": "Repository not found"}', f"an error of a server as JSON ('Repository not found') in place of the file; {AGAIN}"),
    "JSON message": (b'{"message": "Bad credentials", "status": "401"}', "an error of a server as JSON ('Bad credentials')"),
    "JSON list": (b'[{"a": 1}]', "a JSON file; give the file of the weights"),
    "TensorFlow.js": (b'{"format": "layers-model", "modelTopology": {}, "weightsManifest": []}', f"a TensorFlow.js model; {EXPORTED}"),
    "Keras's description": (b'{"class_name": "Functional", "config": {}}', "Keras's description of a network, which holds no weights"),
    "config.json": (b'{"architectures": ["EfficientNet"], "model_type": "efficientnet"}', "a configuration (config.json), which holds no weights; give its folder"),
    "a notebook": (b'{"cells": [], "nbformat": 4}', "a Jupyter notebook"),
    "a shortcut": (b"[InternetShortcut]\r\nURL=https://x\r\n", "a link to a web page (.url)"),
    "a torrent": (b"d8:announce20:http://x", "a torrent"),
    "a program": (b"import torch\n", "a Python program"),
    "a graph as text": (b'node {\n  name: "input"\n}', f"a TensorFlow graph as text (GraphDef or MetaGraphDef); {EXPORTED}"),
    "text": (b"Dear all,\n" * 9000, "a text file, which begins 'Dear all,'; give the file of the weights"),
    "text cut within a character": ("ä".encode() * 50_000, "a text file, which begins 'ää"),
    "blanks": (b" \n" * 40, "a file of 80 blanks"),
    "nothing": (b"", "an empty file (0 bytes); download or copy it again"),
    "zeros": (bytes(300_000), "a file of 300,000 zeros, perhaps an unfinished download; download or copy it again"),
}  # fmt: skip

BINARIES: dict[str, tuple[bytes, str]] = {
    "TFLite": (FLATBUFFER % b"TFL3", f"a TensorFlow Lite model; {EXPORTED}"),
    "ONNX Runtime": (FLATBUFFER % b"ORTM", "an ONNX Runtime model"),
    "ExecuTorch": (FLATBUFFER % b"ET12", "an ExecuTorch program"),
    "PyTorch Mobile": (FLATBUFFER % b"PTMF", "a PyTorch Mobile model"),
    "MindSpore Lite": (FLATBUFFER % b"MSL2", "a MindSpore Lite model"),
    "frozen graph": (GRAPH, f"a frozen TensorFlow graph (GraphDef); {EXPORTED}, or its SavedModel"),
    "SavedModel's graph": (number_field(1, 1) + META, "the graph of a TensorFlow SavedModel; give its folder"),
    "MindIR": (bytes_field(1, b"0.1.0") + bytes_field(2, b"MindSpore") + bytes(50), f"a MindIR graph of MindSpore; {EXPORTED} (.ckpt)"),
    "Core ML": (number_field(1, 4) + bytes_field(2, bytes_field(1, bytes_field(1, b"image"))), f"a Core ML model; {EXPORTED}"),
    "Caffe": (bytes_field(1, b"EffNet") + bytes_field(100, bytes_field(1, b"conv")), f"a Caffe model; {EXPORTED}"),
    "TensorRT": (b"ptrt" + bytes(100), f"a TensorRT engine; {EXPORTED}"),
    "newer TensorRT": (b"ftrt" + bytes(100), "a TensorRT engine"),
    "GGUF": (b"GGUF\3\0\0\0" + bytes(100), f"a GGUF file; {EXPORTED}"),
    "ncnn": (b"7767517\n75 83\nInput", f"an ncnn network; {EXPORTED}"),
    "Paddle program": (bytes_field(1, b"\x08\0\x10" + b"\xff" * 9 + b"\1"), f"a PaddlePaddle program; {EXPORTED}"),
    "Paddle": (pickle.dumps({"conv.w": np.ones(2), "StructuredToParameterName@@": {}}, 4), "weights of PaddlePaddle, which are not read here"),
    "MXNet": (struct.pack("<QQ", 0x112, 0) + bytes(50), "weights of MXNet, which are not read here"),
    "Lua Torch": (struct.pack("<iii", 4, 1, 3) + b"V 1", "a file of Lua Torch, which is not read here"),
    "Flax": (b"\x82\xa6params\x80\xabbatch_stats\x80", "msgpack, as JAX (Flax) writes weights, which is not read here"),
    "numpy": (b"\x93NUMPY\1\0v\0{'descr': '<f4'", "an array of numpy (.npy)"),
    "MATLAB": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + bytes(100), "a MATLAB file"),
    "MATLAB 7.3": (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(200), "a MATLAB file"),
    "TensorBoard": (struct.pack("<QI", 24, 7) + b"\x09" + bytes(8) + b"\x1a\x0dbrain.Event:2" + bytes(4), "a log of TensorBoard"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(50), "an image"),
    "JPEG": (b"\xff\xd8\xff\xe0" + bytes(50), "an image"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
    "ELF": (b"\x7fELF\2\1\1" + bytes(50), "a program or library"),
    "Parquet": (b"PAR1\x15\4" + bytes(50), "a Parquet file"),
    "macOS": (b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(50), "a file of macOS beside another file; give the file without '._' in its name"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(50), "a 7z archive; unpack it"),
    "RAR": (b"Rar!\x1a\7\1\0" + bytes(50), "a RAR archive; unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfd\4" + bytes(50), "a file packed by zstd; unpack it first (zstd -d)"),
    "lz4": (b"\x04\x22\x4d\x18" + bytes(50), "a file packed by lz4; unpack it first (lz4 -d)"),
    "OpenSSL": (b"Salted__" + bytes(range(90)), "a file encrypted by OpenSSL; decrypt it first"),
    "GGML": (b"tjgg" + bytes(range(90)), "a GGML file"),
    "RKNN": (b"RKNN" + bytes(range(90)), "an RKNN model"),
    "SQLite": (b"SQLite format 3\0" + bytes(range(90)), "an SQLite database"),
    "Arrow": (b"ARROW1\0\0" + bytes(range(90)), "an Arrow file"),
    "property list": (b"bplist00" + bytes(range(90)), "a property list of Apple"),
    "lzip": (b"LZIP\1" + bytes(range(90)), "a file packed by lzip"),
    "compress": (b"\x1f\x9d\x90" + bytes(range(90)), "a file packed by compress (.Z)"),
    "snappy": (b"\xff\6\0\0sNaPpY" + bytes(range(90)), "a file packed by snappy"),
    "age": (b"age-encryption.org/v1\n-> X25519", "a file encrypted by GnuPG or age"),
    "an old pickle": (pickle.dumps({"a": 1}, 0), "a pickle that torch.save did not write; if you trust it"),
    "old PyTorch": (b"sys_info\0".ljust(257, b"\0") + b"ustar" + bytes(250), "a tar file of PyTorch before 0.2; load it in torch and torch.save it again"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), (TEXTS | BINARIES).values(), ids=(TEXTS | BINARIES).keys())
@pytest.mark.parametrize("name", ["x.pth", "model.safetensors", "weights"])
def test_a_file_is_named_for_what_it_is(tmp_path: Path, content: bytes, words: str, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    message = refusal(tmp_path / name)
    assert message.startswith(f"{tmp_path / name}: not a checkpoint ")
    assert words in message
    assert message.isprintable()


def test_every_row_of_the_table_is_in_a_test() -> None:
    tested = " ".join(words for _, words in (BINARIES | TEXTS).values())
    packed = ["an ONNX model"]  # read as one, unless another file is around it
    assert [kind.name for kind in BY_CONTENT if kind.name not in tested] == packed
    assert all(kind.remedy for kind in (*BY_CONTENT, *BY_NAME))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.onnx", "by its name, an ONNX model"),
        ("x.TFLITE", "by its name, a TensorFlow Lite model"),
        ("x.caffemodel", "by its name, a Caffe model"),
        ("x.engine", "by its name, a TensorRT engine"),
        ("x.pb", "by its name, a TensorFlow graph"),
        ("x.pdiparams", "weights of PaddlePaddle"),
        ("x.pth.crdownload", "an unfinished download; download or copy it again"),
    ],
)
def test_what_has_no_signature_goes_by_its_name(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"\xfe\xdc\xba" * 30)
    assert words in refusal(tmp_path / name)


def test_a_name_never_hides_what_a_file_is(tmp_path: Path, arrays: dict[str, Array]) -> None:
    for name in ("x.onnx", "x.pb", "x.engine", "x.part"):
        assert read_all(make_torch(tmp_path / name, arrays))
        (tmp_path / name).write_bytes(LFS)
        assert "Git LFS" in refusal(tmp_path / name)


@pytest.mark.parametrize(("beside", "words"), [(".xml", "OpenVINO"), (".param", "ncnn")])
def test_weights_without_a_signature_are_known_by_the_file_beside_them(tmp_path: Path, beside: str, words: str) -> None:
    (tmp_path / "b0.bin").write_bytes(b"\xfe\xdc\xba" * 30)
    assert words not in refusal(tmp_path / "b0.bin")
    (tmp_path / f"b0{beside}").write_text("")
    assert f"the weights of an {words}" in refusal(tmp_path / "b0.bin")


def test_an_index_of_tensorflow_that_is_a_pointer_is_called_one(bundle: Path) -> None:
    bundle.write_bytes(LFS)
    for path in (bundle, bundle.with_suffix(""), bundle.parent):
        assert "not a checkpoint but a Git LFS pointer" in refusal(path)


PACKINGS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "gz": (gzip.compress, "gunzip"),
    "xz": (lzma.compress, "unxz"),
    "lzma": (lambda data: lzma.compress(data, lzma.FORMAT_ALONE), "unlzma"),
    "bz2": (bz2.compress, "bunzip2"),
}


@pytest.mark.parametrize(("pack", "command"), PACKINGS.values(), ids=PACKINGS.keys())
def test_a_packed_file_says_what_is_inside_and_how_to_unpack_it(
    tmp_path: Path, arrays: dict[str, Array], pack: Callable[[bytes], bytes], command: str
) -> None:
    inside = {
        "a PyTorch file": make_torch(tmp_path / "x.pth", arrays).read_bytes(),
        "a safetensors file": make_safetensors(tmp_path / "x.safetensors", arrays).read_bytes(),
        "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "an ONNX model": number_field(1, 8) + bytes_field(2, b"pytorch") + bytes_field(3, b"2.1.0"),
        "a Git LFS pointer": LFS,
        "an empty file": b"",
        "a file": b"\xfe\xdc\xba" * 30,
    }
    for words, content in inside.items():
        (tmp_path / "it's packed").write_bytes(pack(content))
        message = refusal(tmp_path / "it's packed")
        assert f"around {words}" in message
        assert message.endswith(f"; unpack it first: {command} 'it'\"'\"'s packed'")


@pytest.mark.parametrize("pack", [lzma.compress, bz2.compress])
def test_a_tar_archive_that_is_packed_otherwise_is_named(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    (tmp_path / "x.tar").write_bytes(pack(buffer.getvalue()))
    assert "around a tar archive; unpack it first: tar -xf x.tar" in refusal(tmp_path / "x.tar")


@pytest.mark.parametrize("name", PACKINGS)
def test_a_packed_file_that_is_cut_off_is_called_damaged(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_bytes(PACKINGS[name][0](random.Random(0).randbytes(1000))[:20])
    assert "damaged or cut off" in refusal(tmp_path / "x")


@pytest.mark.parametrize("name", PACKINGS)
def test_little_is_unpacked_of_a_packed_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "x").write_bytes(PACKINGS[name][0](bytes(200 << 20)))
    assert peak_memory(lambda: refusal(tmp_path / "x")) < 16 << 20


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_zip_file_around_one_file_says_which(tmp_path: Path, arrays: dict[str, Array], method: int) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as archive:
        archive.write(make_torch(tmp_path / "b0.pth", arrays), "weights/b0.pth")
    message = refusal(tmp_path / "x.zip")
    assert "not a checkpoint but a zip file around weights/b0.pth (" in message
    assert "unpack it (unzip x.zip) and give" in message
    if method != zipfile.ZIP_LZMA:  # which may take any memory
        assert "(a PyTorch file); unpack it (unzip x.zip) and give weights/b0.pth" in message


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("m/saved_model.pb", "m/variables/variables.index"), "a TensorFlow SavedModel"),
        (("m/model.ckpt.index", "m/model.ckpt.data-00000-of-00001"), "a TensorFlow checkpoint"),
        (("Manifest.json", "Data/com.apple.CoreML/model.mlmodel"), "a Core ML model"),
        (("[Content_Types].xml", "word/document.xml"), "an Office document"),
    ],
)
def test_a_zip_file_of_several_files_says_what_they_are(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    assert f"a zip file around {words}; unpack it (unzip x.zip) and give the result" in refusal(tmp_path / "x.zip")


def test_a_tar_archive_around_another_file_says_to_unpack_it(tmp_path: Path, arrays: dict[str, Array]) -> None:
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(make_torch(tmp_path / "b0.pth", arrays), "b0.pth")
    message = refusal(tmp_path / "x.tar.gz")
    assert "has no *.index and no saved_model.pb, but 'b0.pth'; unpack it and give the file of the weights" in message


def test_a_damaged_file_of_a_format_that_is_read_is_called_damaged(tmp_path: Path, arrays: dict[str, Array]) -> None:
    whole = make_safetensors(tmp_path / "whole.safetensors", arrays).read_bytes()
    for size in (20, 200, len(whole) - 1):  # the first two end within the header
        (tmp_path / "x").write_bytes(whole[:size])
        message = refusal(tmp_path / "x")
        assert "its header declares" in message or "damaged or cut off" in message
    whole = make_torch(tmp_path / "whole.pth", arrays).read_bytes()
    for size in (4, 60, 300, len(whole) // 2, len(whole) - 1):
        (tmp_path / "x").write_bytes(whole[:size])
        assert "not a file that torch.save wrote whole" in refusal(tmp_path / "x")


def test_a_file_that_only_begins_with_zeros_is_not_called_zeros(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(1 << 20) + b"\1" + bytes(1 << 20))
    assert "zeros" not in refusal(tmp_path / "x")


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(20 << 30)
    begin = time.monotonic()
    assert peak_memory(lambda: refusal(tmp_path / "x")) < 1 << 20
    assert time.monotonic() - begin < 5
    assert f"a file of {20 << 30:,} zeros" in refusal(tmp_path / "x")


STARTS = [content[:40] for content, _ in (BINARIES | TEXTS).values()] + [
    b"\x1f\x8b\x08\0", b"\xfd7zXZ\0", b"BZh9", b"\x5d\0\0\x80\0", b"PK\3\4", b"PK\5\6", b"\x80\4", b"\xdf\xff\xff\xff\xff\xd9\xff",
]  # fmt: skip


@examples(400)
@given(st.sampled_from(STARTS), st.integers(0, 40), st.binary(max_size=300))
@example(b"\xde\0\1\xd9", 4, b"")
@example(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, b"\x0a")
@example(b"outs:\n- ", 8, b" \n" * 150)
def test_any_continuation_of_any_beginning_is_refused(tmp_path: Path, start: bytes, size: int, rest: bytes) -> None:
    (tmp_path / "x").write_bytes(start[:size] + rest)
    begin = time.monotonic()
    assert str(tmp_path / "x") in refusal(tmp_path / "x")
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize("content", [LFS, b"", bytes(5000), b"<html>", b"Not Found", GRAPH], ids="LFS nothing zeros HTML word graph".split())  # fmt: skip
@pytest.mark.parametrize("command", ["inspect FILE", "convert FILE --to timm --out OUT", "diff FILE FILE"])
def test_commands_say_so_in_one_line_and_exit_with_3(
    run: Callable[..., Ran], tmp_path: Path, content: bytes, command: str
) -> None:
    (tmp_path / "x.pth").write_bytes(content)
    words = command.replace("FILE", str(tmp_path / "x.pth")).replace("OUT", str(tmp_path / "out.pth"))
    ran = run(*words.split())
    assert ran.exit_code == 3
    assert ran.err.startswith(f"effconvert: {tmp_path / 'x.pth'}: not a checkpoint but ")
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out.pth").exists()

"""Targets: TensorFlow's bundle, its parts, and the archives that it is published in."""

import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from effconvert.errors import LayoutMismatch, UnreadableCheckpoint
from effconvert.formats.protobuf import WireError, fields
from effconvert.formats.tensorflow.leveldb_table import TableError, read_table, write_table
from effconvert.formats.tensorflow.sidecar import read_sidecar
from effconvert.formats.tensorflow.slices import Extent
from effconvert.hashing import file_sha256
from effconvert.identify.description import read_description
from helpers.formats import bundles, tables
from helpers.formats.building import make_bundle
from helpers.fuzzing.bundles import mutate_bundle, mutate_table
from helpers.fuzzing.checkpoint_files import ARRAYS, METADATA, read_checkpoint, read_file
from helpers.fuzzing.target import Change, Target, as_file, joined, own_folder, parted

_SLICES: dict[Extent, bytes] = {((0, 1), (0, -1)): bytes(range(16)), ((1, 1), (0, -1)): bytes(range(16, 32))}


def _bundle_of(index: Path) -> bytes:
    data = index.with_name(index.name.removesuffix(".index") + ".data-00000-of-00001")
    return joined(index.read_bytes(), data.read_bytes())


def _made_bundle(build: Callable[[Path], Path]) -> bytes:
    folder = own_folder() / "made"
    folder.mkdir(exist_ok=True)
    return _bundle_of(build(folder))


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


TENSORFLOW = [
    Target("bundle", read_bundle, bundle_seeds, mutate=mutate_bundle),
    Target("table", _read_table, _table_seeds, mutate=mutate_table),
    Target(
        "sidecar",
        _read_sidecar,
        lambda: [json.dumps(METADATA | {"index_sha256": "{}"}).encode()],
        (UnreadableCheckpoint, LayoutMismatch),
    ),
    Target("protobuf", _read_message, lambda: [bundles.entry((3, 4), b"1234"), bundles.header()]),
    Target("tar", read_file, _tar_seeds, mutate=mutate_tar),
    Target("tar_gz", _read_gzip, lambda: [gzip.compress(one, 1, mtime=0) for one in _tar_seeds()], mutate=_mutate_gzip),
]

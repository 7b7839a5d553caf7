"""A damaged or hostile file of Keras is refused in words, or gives the tensors that it had."""

import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats import open_checkpoint
from helpers.deep import deep_but
from helpers.formats.building import bits, flip, peak_memory, refusal
from helpers.formats.keras_files import GOLDEN, plain, write_archive

FILES = ["keras3_plain.h5", "keras3_plain_model.h5", "keras3_plain.weights.h5", "keras3_plain.keras", "keras2_plain.h5"]
HEAD, TAIL = 64 << 10, 4 << 10


@pytest.mark.parametrize("name", FILES)
def test_s5_a_truncated_file_is_refused(tmp_path: Path, name: str) -> None:
    content = (GOLDEN / name).read_bytes()
    for size in np.linspace(16, len(content) - 1, 200).astype(int):
        (tmp_path / name).write_bytes(content[:size])
        refusal(tmp_path / name)


@pytest.mark.parametrize("name", deep_but(FILES, lambda name: name == FILES[0]))
def test_s5_a_flipped_bit_outside_the_data_is_refused_or_changes_no_tensor(tmp_path: Path, name: str) -> None:
    """A tensor may get another name, which no layout takes for the old one."""
    content = (GOLDEN / name).read_bytes()
    arrays = plain()
    data = data_spans(GOLDEN / name)
    chosen = random.Random(4)
    places = [chosen.randrange(min(HEAD, len(content)) * 8) for _ in range(1500)]
    places += [chosen.randrange((len(content) - TAIL) * 8, len(content) * 8) for _ in range(500)]
    for bit in places:
        if any(begin <= bit // 8 < end for begin, end in data):
            continue
        (tmp_path / name).write_bytes(flip(content, bit))
        try:
            with open_checkpoint(tmp_path / name) as checkpoint:
                for tensor in checkpoint.tensors.keys() & arrays.keys():
                    assert bits(checkpoint.read(tensor)) == bits(arrays[tensor]), (bit, tensor)
        except UnreadableCheckpoint:
            pass


def data_spans(path: Path) -> list[tuple[int, int]]:
    """Return where the values of an HDF5 file lie; of an archive none, for it has a checksum."""
    spans: list[tuple[int, int]] = []

    def note(_: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            spans.append((item.id.get_offset(), item.id.get_offset() + item.nbytes))

    if path.suffix != ".keras":
        with h5py.File(path) as file:
            file.visititems(note)
    return spans


def test_r6_a_flipped_bit_in_the_data_of_an_archive_is_refused(tmp_path: Path) -> None:
    content = (GOLDEN / "keras3_plain.keras").read_bytes()
    at = content.index(plain()["wide3_conv/kernel"].tobytes())
    (tmp_path / "x.keras").write_bytes(flip(content, 8 * at + 3))
    assert "CRC-32" in refusal(tmp_path / "x.keras")


def weights(path: Path, build: Callable[[h5py.Group], object]) -> Path:
    """Write a `.weights.h5` with one Dense layer whose variables `build` adds."""
    with h5py.File(path, "w") as file:
        build(file.create_group("layers/dense/vars"))
    return path


def hard_link(group: h5py.Group) -> None:
    group["0"] = np.ones((2, 2), np.float32)
    group["1"] = group["0"]


def cycle(group: h5py.Group) -> None:
    group["0"] = np.ones((2, 2), np.float32)
    group.file["layers/dense/again"] = group.file["layers"]


def shared_type(group: h5py.Group) -> None:
    group.file["type"] = np.dtype(np.float32)
    group.create_dataset("0", (2,), dtype=group.file["type"])


def virtual(group: h5py.Group) -> None:
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    group.create_virtual_dataset("0", layout)


HOSTILE: dict[str, tuple[Callable[[h5py.Group], object], str]] = {
    "soft link": (lambda group: group.__setitem__("0", h5py.SoftLink("/etc")), "is a link, which is not followed"),
    "external link": (lambda group: group.__setitem__("0", h5py.ExternalLink("/etc/passwd", "/x")), "newer kind"),
    "hard link": (hard_link, "names; it must have one"),
    "cycle": (cycle, "names; it must have one"),
    "external storage": (
        lambda group: group.create_dataset("0", (4,), np.float32, external=[("/etc/passwd", 0, 16)]),
        "data in another file",
    ),
    "virtual dataset": (virtual, "a dataset is stored"),
    "chunks": (lambda group: group.create_dataset("0", (64,), np.float32, chunks=(8,)), "in chunks"),
    "compression": (
        lambda group: group.create_dataset("0", (1 << 40,), np.float32, chunks=(1 << 20,), compression="gzip"),
        "compressed data",
    ),
    "nothing stored": (lambda group: group.create_dataset("0", (1 << 40,), np.float32), "are not stored"),
    "shared type": (shared_type, "damaged header"),
    "compound": (
        lambda group: group.create_dataset("0", data=np.zeros(2, [("a", np.float32)])),
        "a type that Keras does not write",
    ),
    "big-endian": (lambda group: group.create_dataset("0", data=np.zeros(2, ">f4")), "a type that Keras does not"),
    "numbers with a gap": (lambda group: group.create_dataset("1", data=np.zeros(2, "f4")), "are numbered 1"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_keras_never_writes_is_refused(tmp_path: Path, case: str) -> None:
    build, words = HOSTILE[case]
    path = weights(tmp_path / "x.h5", build)
    assert words in refusal(path)
    assert peak_memory(lambda: refusal(path)) < 1 << 20


def test_groups_that_lie_too_deep_are_refused(tmp_path: Path) -> None:
    path = weights(tmp_path / "x.h5", lambda group: group.create_group("/".join("abcdefghijklmnopqrst")))
    assert "nested more than 16 deep" in refusal(path)


def test_a_newer_superblock_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file.create_group("layers/dense/vars").create_dataset("0", data=np.ones(2))
    assert "load it in Keras and save it again" in refusal(tmp_path / "x.h5")


@pytest.mark.parametrize("size", [1 << 20, 1 << 31, 1 << 62, (1 << 64) - 1])
def test_a_size_that_the_file_does_not_have_takes_no_memory(tmp_path: Path, size: int) -> None:
    content = bytearray((GOLDEN / "keras3_plain.h5").read_bytes())
    for magic in (b"HEAP", b"GCOL"):
        at = content.index(magic)
        changed = content[: at + 8] + struct.pack("<Q", size) + content[at + 16 :]
        (tmp_path / "x.h5").write_bytes(changed)
        assert peak_memory(lambda: refusal(tmp_path / "x.h5")) < 1 << 20


@pytest.mark.parametrize(
    ("record", "content"),
    [
        ("config.json", b"[]"),
        ("config.json", b"{"),
        ("config.json", b"[" * 100_000),
        ("config.json", b"\xff"),
        ("model.weights.h5", b""),
        ("model.weights.h5", b"\x89HDF\r\n\x1a\n"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, record: str, content: bytes) -> None:
    with zipfile.ZipFile(GOLDEN / "keras3_plain.keras") as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    refusal(write_archive(tmp_path / "x.keras", records | {record: content}))


@pytest.mark.parametrize("text", ["[]", '{"x": 1}', "{", '"x"'])
def test_metadata_that_are_no_texts_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.h5").write_bytes((GOLDEN / "keras3_plain.h5").read_bytes())
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file.attrs["effconvert"] = text
    refusal(tmp_path / "x.h5")


@pytest.mark.parametrize(
    "config", ['{"config": {"layers": [1, {}, {"class_name": 3}, {"config": []}]}}', '{"config": 1}']
)
def test_a_configuration_of_no_model_names_nothing(tmp_path: Path, config: str) -> None:
    (tmp_path / "x.h5").write_bytes((GOLDEN / "keras3_plain_model.h5").read_bytes())
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file.attrs["model_config"] = config
    with open_checkpoint(tmp_path / "x.h5") as checkpoint:
        assert checkpoint.tensors.keys() == plain().keys()

"""An encrypted MindSpore checkpoint is read with its key, and without it refused in words."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from hypothesis import given

from effconvert.errors import OutputProblem, Unavailable, UnreadableCheckpoint
from effconvert.formats import Array, open_checkpoint
from helpers.formats.building import contents, examples, expected, flip, peak_memory, read_all
from helpers.formats.mindspore_files import GOLDEN, KEY, key_of, make_mindspore
from helpers.formats.mutations import MEMORY, Mutation, mutated, mutations

FILES = sorted(GOLDEN.glob("ms*/enc_*.ckpt"))
IDS = [f"{path.parent.name}-{path.stem}" for path in FILES]
CIPHERS = {"AES-GCM": 0x7F3A5ED8, "AES-CBC": 0x7F3A5ED9, "SM4-CBC": 0x7F3A5EDA}
VECTOR = bytes(range(16))


def block(plain: bytes, mode: str, key: bytes = KEY) -> bytes:
    """One block as MindSpore writes it."""
    algorithm = algorithms.SM4(key) if mode == "SM4-CBC" else algorithms.AES(key)
    if mode == "AES-GCM":
        encryptor = Cipher(algorithm, modes.GCM(VECTOR[:12])).encryptor()
        content = encryptor.update(plain) + encryptor.finalize()
        tag = encryptor.tag
    else:
        padder = PKCS7(128).padder()
        blocks = Cipher(algorithm, modes.CBC(VECTOR)).encryptor()
        content = blocks.update(padder.update(plain) + padder.finalize()) + blocks.finalize()
        tag = b""
    rest = struct.pack("<I", 16) + VECTOR + struct.pack("<I", len(content)) + content
    return struct.pack("<I", CIPHERS[mode]) + tag + struct.pack("<I", len(rest)) + rest


def open_files() -> int:
    """How many files this process holds open; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    return sum(True for _ in folder.iterdir()) if folder.is_dir() else 0


def refusal(path: Path, key: bytes | None = KEY) -> str:
    with pytest.raises(UnreadableCheckpoint) as caught, open_checkpoint(path, key) as checkpoint:
        contents(checkpoint)
    return str(caught.value)


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_with_its_key_it_is_the_plain_checkpoint(path: Path) -> None:
    with open_checkpoint(path, key_of(path.name)) as checkpoint:
        assert contents(checkpoint) == read_all(path.with_name("plain.ckpt"))
        assert checkpoint.path == path


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_without_a_key_the_cipher_and_the_option_are_named(path: Path) -> None:
    message = refusal(path, None)
    cipher = {"g": "AES-GCM", "c": "AES-CBC", "s": "SM4-CBC"}[path.stem[4]]
    assert f"encrypted with {cipher}; give its key of 16" in message
    assert message.startswith(f"{path}: ")


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_wrong_key_is_refused(path: Path) -> None:
    for key in (b"0123456789abcdeF", b"x" * 16):
        wrong = key * (2 if "32" in path.name else 1)
        message = refusal(path, wrong)
        assert "key is wrong" in message
        assert wrong.decode() not in message


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 17, b"x" * 64])
def test_a_key_of_another_length_is_refused_with_the_right_ones(key: bytes) -> None:
    path = GOLDEN / "ms2.10.0" / "enc_gcm.ckpt"
    assert f"the key has {len(key)} bytes, but AES-GCM needs 16 or 24 or 32" in refusal(path, key)
    assert "SM4-CBC needs 16" in refusal(path.with_name("enc_sm4.ckpt"), b"x" * 32)


def test_a_key_for_a_plain_file_changes_nothing() -> None:
    path = GOLDEN / "ms2.10.0" / "plain.ckpt"
    with open_checkpoint(path, KEY) as checkpoint:
        assert contents(checkpoint) == read_all(path)


@pytest.mark.parametrize("mode", CIPHERS)
@pytest.mark.parametrize("key", [KEY, KEY * 2, KEY + KEY[:8]])
def test_several_blocks_are_one_file(tmp_path: Path, arrays: dict[str, Array], mode: str, key: bytes) -> None:
    if mode == "SM4-CBC" and key != KEY:
        return
    plain = make_mindspore(tmp_path / "plain", arrays).read_bytes()
    pieces = [plain[:100], plain[100:116], plain[116:]]
    (tmp_path / "x").write_bytes(b"".join(block(piece, mode, key) for piece in pieces))
    with open_checkpoint(tmp_path / "x", key) as checkpoint:
        assert contents(checkpoint) == expected(arrays)


@pytest.mark.parametrize("mode", CIPHERS)
def test_content_that_is_no_checkpoint_is_refused_as_perhaps_a_wrong_key(tmp_path: Path, mode: str) -> None:
    (tmp_path / "x").write_bytes(block(b"anything else", mode))
    assert "or the key is wrong" in refusal(tmp_path / "x")


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, path: Path) -> None:
    content = path.read_bytes()
    for at in (*range(4, 64), *range(64, len(content), 37), len(content) - 1):
        (tmp_path / "x").write_bytes(content[:at])
        refusal(tmp_path / "x", key_of(path.name))


def test_every_flipped_bit_of_aes_gcm_is_refused_but_those_that_it_does_not_use(tmp_path: Path) -> None:
    content = (GOLDEN / "ms2.10.0" / "enc_gcm.ckpt").read_bytes()
    unused = range(28 + 12, 28 + 16)  # of the 16 bytes of the initial vector it takes 12
    for byte in (*range(4, 60), *range(60, len(content), 13)):
        (tmp_path / "x").write_bytes(flip(content, byte * 8 + byte % 8))
        if byte not in unused:
            refusal(tmp_path / "x")


def test_the_layout_of_mindspore_1_is_named(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(
        struct.pack("<III", CIPHERS["AES-GCM"], 24 + 64, 16) + VECTOR + struct.pack("<I", 64) + bytes(64)
    )
    assert "the file is damaged, or of MindSpore 1" in refusal(tmp_path / "x")


def test_a_block_that_declares_more_than_the_file_has_takes_no_memory(tmp_path: Path) -> None:
    header = struct.pack("<II", CIPHERS["AES-CBC"], 0xFFFFFFF0 + 24 - (1 << 32) & 0xFFFFFFFF)
    (tmp_path / "x").write_bytes(header + struct.pack("<I", 16) + VECTOR + struct.pack("<I", 0xFFFFFFF0) + bytes(64))
    assert peak_memory(lambda: refusal(tmp_path / "x")) < 1 << 20
    length = 1 << 31
    header = struct.pack("<II", CIPHERS["AES-CBC"], length + 24)
    (tmp_path / "x").write_bytes(header + struct.pack("<I", 16) + VECTOR + struct.pack("<I", length) + bytes(64))
    assert peak_memory(lambda: refusal(tmp_path / "x")) < 1 << 20
    assert "cut off: the block at byte 0 declares 2,147,483,648 bytes" in refusal(tmp_path / "x")


def test_large_blocks_are_decrypted_in_pieces(tmp_path: Path) -> None:
    plain = make_mindspore(tmp_path / "plain", {"x": np.arange(8 << 20, dtype=np.uint8)}).read_bytes()
    (tmp_path / "x").write_bytes(block(plain, "AES-CBC"))
    assert peak_memory(lambda: open_checkpoint(tmp_path / "x", KEY).close()) < MEMORY


def test_nothing_decrypted_is_left_or_can_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    path = GOLDEN / "ms2.10.0" / "enc_gcm.ckpt"
    before = open_files()
    with open_checkpoint(path, KEY) as checkpoint:
        assert list(scratch.iterdir()) == []
        assert contents(checkpoint)
    refusal(path, b"x" * 16)
    assert open_files() == before
    assert list(scratch.iterdir()) == []


def test_a_temporary_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputProblem, match="cannot be decrypted into .*missing"):
        open_checkpoint(GOLDEN / "ms2.10.0" / "enc_gcm.ckpt", KEY)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    with pytest.raises(Unavailable, match=r'pip install "effconvert\[encryption\]"') as caught:
        open_checkpoint(GOLDEN / "ms2.10.0" / "enc_sm4.ckpt", KEY)
    assert caught.value.exit_code == 9


def test_a_plain_checkpoint_needs_no_package_for_decryption() -> None:
    path = GOLDEN / "ms2.10.0" / "plain.ckpt"
    code = f"import sys; from effconvert.formats import open_checkpoint as o; o({str(path)!r}); print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@examples(150)
@given(steps=mutations)
def test_a_mutated_file_is_refused_or_read(tmp_path: Path, steps: list[Mutation]) -> None:
    for path in FILES[:4]:
        (tmp_path / "x").write_bytes(mutated(path.read_bytes(), steps))
        try:
            with open_checkpoint(tmp_path / "x", key_of(path.name)) as checkpoint:
                contents(checkpoint)
        except UnreadableCheckpoint:
            pass

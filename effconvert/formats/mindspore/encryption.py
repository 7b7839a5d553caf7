"""MindSpore's encrypted checkpoints, decrypted into a temporary file without a name.

Each block of at most 64 MiB of the plain file is: magic, in AES-GCM a tag of 16 bytes, then as little-endian uint32
the length of what follows, 16, the initial vector, the length of the cipher text, and the cipher text.

Source: mindspore/ccsrc/utils/crypto.cc; files of MindSpore 2.0.0 and 2.10.0.
"""

import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from effconvert.errors import OutputProblem, Unavailable, UnreadableCheckpoint
from effconvert.formats.checkpoint import DataFile
from effconvert.option_words import option

_CIPHERS = {0x7F3A5ED8: "AES-GCM", 0x7F3A5ED9: "AES-CBC", 0x7F3A5EDA: "SM4-CBC"}
_KEY_SIZES = {"AES-GCM": (16, 24, 32), "AES-CBC": (16, 24, 32), "SM4-CBC": (16,)}
_TAG = 16
_VECTOR = 16
_GCM_VECTOR = 12  # of the 16 bytes that are stored


class DecryptedFile(DataFile):
    """The decrypted content of a file, in a temporary file that no other process can open."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path = path
        self._descriptor = os.dup(file.fileno())
        self.size = os.fstat(self._descriptor).st_size


def cipher_of(start: bytes) -> str | None:
    """Return the cipher of a file that begins with `start` (4 bytes); None if MindSpore did not encrypt it."""
    return _CIPHERS.get(int.from_bytes(start[:4], "little"))


def decrypt(file: DataFile, key: bytes | None) -> DecryptedFile:
    """Return the decrypted content of an open file.

    Raises UnreadableCheckpoint without a key, with a wrong one, or for a damaged file; Unavailable if the package
    cryptography is missing; OutputProblem if the temporary file cannot be written.
    """
    path = file.path
    name = cipher_of(file.read(0, 4)) or ""
    sizes = " or ".join(map(str, _KEY_SIZES[name]))
    if key is None:
        raise UnreadableCheckpoint(f"{path}: encrypted with {name}; give its key of {sizes} bytes with {option('key')}")
    if len(key) not in _KEY_SIZES[name]:
        raise UnreadableCheckpoint(f"{path}: the key has {len(key)} bytes, but {name} needs {sizes}")
    decrypted = _decryptors(path, name, key)
    try:
        with tempfile.TemporaryFile(prefix="effconvert-") as plain:
            position = 0
            while position < file.size:
                position = _decrypt_block(file, position, name, decrypted, plain)
            plain.flush()
            return DecryptedFile(path, plain)
    except OSError as error:
        where = tempfile.gettempdir()
        raise OutputProblem(f"{path}: cannot be decrypted into {where}: {error.strerror}") from error


def _decryptors(path: Path, name: str, key: bytes) -> Callable[[bytes, bytes], Any]:
    """Return a function that makes a decryptor from an initial vector and a tag."""
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError as error:
        words = f"{path}: encrypted with {name}, which needs the package cryptography"
        raise Unavailable(f'{words}: pip install "effconvert[encryption]"') from error

    def decryptor(vector: bytes, tag: bytes) -> Any:
        if name == "AES-GCM":
            return Cipher(algorithms.AES(key), modes.GCM(vector[:_GCM_VECTOR], tag)).decryptor()
        algorithm = algorithms.AES(key) if name == "AES-CBC" else algorithms.SM4(key)
        return Cipher(algorithm, modes.CBC(vector)).decryptor()

    return decryptor


def _decrypt_block(
    file: DataFile, position: int, name: str, decryptors: Callable[[bytes, bytes], Any], plain: IO[bytes]
) -> int:
    """Append the block at `position` to `plain` and return where the next one begins."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.padding import PKCS7

    tag_size = _TAG if name == "AES-GCM" else 0
    header = file.read(position, 4 + tag_size + 4 + 4 + _VECTOR + 4)
    magic, tag, length, vector_size, vector, size = struct.unpack(f"<I{tag_size}sII{_VECTOR}sI", header)
    begin = position + len(header)
    end: int = begin + size
    if _CIPHERS.get(magic) != name or vector_size != _VECTOR or length != 4 + _VECTOR + 4 + size:
        reason = f"the header of the block at byte {position:,} is not one of MindSpore 2"
        raise UnreadableCheckpoint(f"{file.path}: {reason}; the file is damaged, or of MindSpore 1")
    if size > file.size - begin:
        raise UnreadableCheckpoint(f"{file.path}: cut off: the block at byte {position:,} declares {size:,} bytes")
    decryptor = decryptors(vector, tag)
    unpadder = None if name == "AES-GCM" else PKCS7(8 * _VECTOR).unpadder()
    try:
        for encrypted in file.pieces(begin, size):
            piece = decryptor.update(encrypted)
            plain.write(unpadder.update(piece) if unpadder else piece)
        piece = decryptor.finalize()
        if unpadder:
            plain.write(unpadder.update(piece) + unpadder.finalize())
    except (InvalidTag, ValueError) as error:
        raise UnreadableCheckpoint(f"{file.path}: {name}: the key is wrong, or the file is damaged") from error
    return end

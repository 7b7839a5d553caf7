"""The hash of a file, and what a file's name says of it."""

import hashlib
import re
from pathlib import Path

# OpenMMLab, timm and torch.hub name a file after the SHA-256 of its bytes.
_NAMED_BY_SHA256 = re.compile(r".*-([0-9a-f]{8})\.pth")
_LIKE_A_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_md5(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal: Keras publishes that of its weights, against damage and not malice."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def name_sha8(name: str) -> str | None:
    """Return the first 8 hexadecimal digits of the SHA-256 that a file's name promises, None where it has none."""
    match = _NAMED_BY_SHA256.fullmatch(name)
    return match[1] if match else None


def check_name_sha8(path: Path, sha256: str) -> str | None:
    """Return a sentence that says whether the file's name agrees with its SHA-256; None where the name says nothing.

    A name that ends in a date (`-20220119.pth`) and does not agree says nothing either.
    """
    promised = name_sha8(path.name)
    if promised is None:
        return None
    if sha256.startswith(promised):
        return f"its SHA-256 begins with {promised}, as its name says"
    if _LIKE_A_DATE.fullmatch(promised):
        return None
    return f"its SHA-256 begins with {sha256[:8]}, its name says {promised}: it was changed, damaged or renamed"

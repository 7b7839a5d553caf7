"""The hash of a file, and what a file's name says of it."""

import hashlib
import re
from pathlib import Path

from effconvert.reference_tables import misnamed_files
from effconvert.reference_tables import name_sha8 as name_sha8

_LIKE_A_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_md5(path: Path) -> str:
    """Return the MD5 of a file in hexadecimal: Keras publishes that of its weights, against damage and not malice."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def check_name_sha8(path: Path, sha256: str) -> str | None:
    """Return a sentence that says whether the file's name agrees with its SHA-256; None where the name says nothing.

    A name that ends in a date (`-20220119.pth`) and does not agree says nothing either. A file that was published under
    another file's hash is known by that name too.
    """
    promised = name_sha8(path.name)
    if promised is None:
        return None
    begins = f"its SHA-256 begins with {sha256[:8]}"
    if sha256.startswith(promised):
        return f"{begins}, as its name says"
    misnamed = misnamed_files().get(path.name)
    if misnamed and sha256.startswith(misnamed.sha256):
        return f"{begins}: {misnamed.releases} published it under this name, although {promised} is not its hash"
    if _LIKE_A_DATE.fullmatch(promised):
        return None
    own = f" (the file that {misnamed.releases} published so has {misnamed.sha256[:8]})" if misnamed else ""
    return f"{begins}, its name says {promised}{own}: it was changed, damaged or renamed"

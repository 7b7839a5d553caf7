"""Hashes in the names of published files, and files that were published under another file's hash."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from effconvert.reference_tables.reading import is_name, read_rows
from effconvert.reference_tables.weights import Published

# OpenMMLab, timm and torch.hub name a file after the SHA-256 of its bytes.
_NAMED_BY_SHA256 = re.compile(r".*-([0-9a-f]{8})\.pth")
_SHA256 = re.compile(r"[0-9a-f]{8}([0-9a-f]{56})?")
_LIKE_A_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])")


def name_sha8(name: str) -> str | None:
    """Return the first 8 hexadecimal digits of the SHA-256 in a file's name, None where it has none."""
    match = _NAMED_BY_SHA256.fullmatch(name)
    return match[1] if match else None


_RULES: dict[str, Callable[[str], object]] = {
    "name": name_sha8,
    "framework": is_name,
    "variant": is_name,
    "weights": is_name,
    "sha256": _SHA256.fullmatch,
    "releases": is_name,
    "source": is_name,
}


@dataclass(frozen=True)
class MisnamedFile:
    """A file that was published under a name with another file's hash.

    sha256: of its bytes, perhaps only the beginning. releases: the framework's releases that used this name.
    """

    name: str
    framework: str
    variant: str
    weights: str
    sha256: str
    releases: str
    source: str

    def is_of(self, row: Published) -> bool:
        """Return whether `row` of weights.csv is this file under its later name."""
        return (self.framework, self.variant, self.weights) == (row.framework, row.variant, row.weights)


@cache
def misnamed_files() -> dict[str, MisnamedFile]:
    """Return {name: file} for every file known to have been published under another file's hash.

    Raises ValueError with all wrong cells of misnamed_files.csv.
    """
    return {row["name"]: MisnamedFile(**row) for row in read_rows("misnamed_files.csv", _RULES)}


def check_name_sha8(path: Path, sha256: str) -> str | None:
    """Return a sentence on whether the file's name agrees with its SHA-256, None for a name without a hash.

    A name that ends in a date (`-20220119.pth`) and does not agree has no hash either. A file that was published under
    another file's hash is also recognised by that name.
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
    own = f" ({misnamed.releases} published a file with {misnamed.sha256[:8]} under this name)" if misnamed else ""
    return f"{begins}, but its name says {promised}{own}: it was changed, damaged or renamed"

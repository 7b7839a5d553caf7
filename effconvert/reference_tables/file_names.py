"""What a published file's name says of its SHA-256, and which names say another file's."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from effconvert.reference_tables.reading import is_name, read_rows
from effconvert.reference_tables.weights import Published

# OpenMMLab, timm and torch.hub name a file after the SHA-256 of its bytes.
_NAMED_BY_SHA256 = re.compile(r".*-([0-9a-f]{8})\.pth")
_SHA256 = re.compile(r"[0-9a-f]{8}([0-9a-f]{56})?")


def name_sha8(name: str) -> str | None:
    """Return the first 8 hexadecimal digits of the SHA-256 that a file's name promises, None where it has none."""
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
    """A file that was published under a name with a hash that is not its own.

    sha256: of its bytes, perhaps only the beginning. releases: those of the framework that called it so.
    """

    name: str
    framework: str
    variant: str
    weights: str
    sha256: str
    releases: str
    source: str

    def is_of(self, row: Published) -> bool:
        """Return whether this is the file that weights.csv has under its later name in `row`."""
        return (self.framework, self.variant, self.weights) == (row.framework, row.variant, row.weights)


@cache
def misnamed_files() -> dict[str, MisnamedFile]:
    """Return {name: file} of every file that is known to have been published under another file's hash.

    Raises ValueError with all that is wrong with misnamed_files.csv.
    """
    return {row["name"]: MisnamedFile(**row) for row in read_rows("misnamed_files.csv", _RULES)}

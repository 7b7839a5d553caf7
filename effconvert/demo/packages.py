"""Packages with files for the demo: trained weights, their own network, photographs. None of them is imported.

`python -m effconvert.demo.packages` prints them as arguments for pip. Their own requirements are not needed.
"""

import os
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from effconvert.errors import Unavailable
from effconvert.hub.addresses import PackageFile, installed_path, package_file
from effconvert.reference_tables.published_weights import choose
from effconvert.reference_tables.weights import Published

NETWORK = PackageFile("efficientnet-lite-pytorch", "0.1.0", "efficientnet_lite_pytorch/__init__.py")
PHOTOGRAPHS = tuple(
    PackageFile("scikit-image", "0.26.0", f"skimage/data/{name}") for name in ("chelsea.png", "coffee.png")
)
# ImageNet photographs; `imagenet_03_990.jpg` is of class 990.
LABELLED = PackageFile("foolbox", "3.3.4", "foolbox/data/imagenet_00_243.jpg")
_LABEL = re.compile(r"imagenet_\d+_(\d+)\.jpg")


@dataclass(frozen=True)
class Photograph:
    """A photograph and its ImageNet class."""

    path: Path
    label: int


@dataclass(frozen=True)
class Shown:
    """The installed files. weights: the published file. network: whether the package with its network is installed."""

    weights: Path
    network: bool
    photographs: tuple[Path, ...]
    labelled: tuple[Photograph, ...]


def published_row() -> Published:
    """Return the row of the demo's weights: the smallest trained network in a package."""
    return choose("lite0", framework="lukemelas")


def requirements() -> list[str]:
    """Return the packages of the demo as requirements for pip."""
    weights = package_file(published_row().url)
    assert weights
    return [f"{file.name}=={file.version}" for file in (weights, NETWORK, PHOTOGRAPHS[0], LABELLED)]


def installed() -> Shown | None:
    """Return the installed files for the demo, None without the package of the weights."""
    weights = package_file(published_row().url)
    assert weights
    path = _path(weights)
    if path is None:
        return None
    photographs = tuple(found for found in map(_path, PHOTOGRAPHS) if found)
    return Shown(_nearer(path), _path(NETWORK) is not None, photographs, _labelled())


def _labelled() -> tuple[Photograph, ...]:
    first = _path(LABELLED)
    if first is None:
        return ()
    named = ((path, _LABEL.fullmatch(path.name)) for path in sorted(first.parent.iterdir()))
    return tuple(Photograph(path, int(label[1])) for path, label in named if label)


def _nearer(path: Path) -> Path:
    """Return the path relative to the current folder, if that is shorter."""
    return min(path, Path(os.path.relpath(path)), key=lambda written: len(str(written)))


def _path(file: PackageFile) -> Path | None:
    try:
        return installed_path(file)
    except (Unavailable, metadata.PackageNotFoundError):
        return None


if __name__ == "__main__":
    print("\n".join(requirements()))

"""A wheel of this project, as users install it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers.places import PROJECT

PACKAGED = ("pyproject.toml", "README.md", "LICENSE", "effconvert", "mappings", "reference", "validate")


def build_wheel(folder: Path, compiler: str) -> Path:
    """Build a wheel in `folder` with that compiler, and return its path."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name in PACKAGED:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, source / name)
    for built in source.rglob("*.so"):
        built.unlink()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    environment = os.environ | {"CC": compiler, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([*command, "--wheel-dir", folder, source], env=environment, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel

"""Fake interpreters of frameworks: programs that do as a test says and record their input."""

import json
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np

_TELLS = """
import json, os, shutil, sys
options = {name: value for name, value in zip(sys.argv, sys.argv[1:]) if name.startswith("--")}
told = {"arguments": sys.argv[1:], "options": options, "key": os.environ.get("EFFCONVERT_KEY_OF_THE_FILE")}
told["settings"] = open(options["--settings"], encoding="utf-8").read()
with open(__file__ + ".told", "a", encoding="utf-8") as file:
    print(json.dumps(told), file=file)
"""


def fake_python(path: Path, code: str = "") -> Path:
    """Write a program in place of a runner that has `options` and runs `code`; return its path."""
    code_file = path.with_name(f"{path.name}.py")
    code_file.write_text(_TELLS + code, encoding="utf-8")
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{code_file}" "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def told(path: Path) -> list[dict[str, Any]]:
    """Return what the program was given each time: its arguments, options, settings, and the key."""
    lines = path.with_name(f"{path.name}.py.told").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def shell(path: Path, commands: str) -> Path:
    """Write a program of the shell, and return its path."""
    path.write_text(f"#!/bin/sh\n{commands}\n")
    path.chmod(0o755)
    return path


def without_packages(path: Path) -> Path:
    """Write an interpreter that has no packages, numpy neither, and return its path."""
    return shell(path, f'exec "{sys.executable}" -S "$@"')


def with_numpy_alone(folder: Path) -> Path:
    """Make an interpreter that has numpy and no other package, effconvert neither, and return its path."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    installed = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):  # the second holds what a wheel of numpy is linked with
        if (installed / name).exists():
            (site / name).symlink_to(installed / name)
    return folder / "bin" / "python"

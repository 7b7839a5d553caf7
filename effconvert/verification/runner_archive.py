"""Packs a framework's runner into one file that any interpreter with numpy and the framework can start.

It is a zip archive, as those of Python's zipapp. Python puts an archive that it is given in place of a script first on
its path, also under -I and PYTHONSAFEPATH, where it would not find modules that stand beside a script.
"""

import ast
import zipfile
from importlib.resources import files
from pathlib import Path

_RUNNERS = "effconvert.verification.runners"
_PACKAGE = "effconvert_runner"  # what they are in the archive, where relative imports need a package
_MAIN = """import sys

from {0}.base import main
from {0}.{1} import RUNNER

sys.exit(main(RUNNER))
"""


def write_runner(name: str, folder: Path) -> Path:
    """Write the runner of the framework to `folder`, and return its path: the same bytes each time."""
    path, runner = folder / f"run_{name}.pyz", f"run_{name}"
    members = {f"{_PACKAGE}/{module}.py": source for module, source in _sources(runner).items()}
    members |= {"__main__.py": _MAIN.format(_PACKAGE, runner).encode(), f"{_PACKAGE}/__init__.py": b""}
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in sorted(members.items()):
            entry = zipfile.ZipInfo(member)  # of 1980, whenever it is written
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content)
    return path


def _sources(runner: str) -> dict[str, bytes]:
    """Return {module: source} of the runner and of every module beside it that it imports, or that those import."""
    found: dict[str, bytes] = {}
    missing = {runner}
    while missing:
        module = missing.pop()
        found[module] = files(_RUNNERS).joinpath(f"{module}.py").read_bytes()
        missing |= _siblings(found[module]) - found.keys()
    return found


def _siblings(source: bytes) -> set[str]:
    statements = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    return {node.module for node in statements if node.level == 1 and node.module}

"""Archive of a framework's runner: one file that any interpreter with numpy and the framework can start.

It is a zip archive like those of Python's zipapp. Python puts an archive that it runs first on its path, also with -I
and PYTHONSAFEPATH, where it would not find modules beside a script.
"""

import re
import zipfile
from importlib.resources import files
from pathlib import Path

_RUNNERS = "effconvert.verification.runners"
_PACKAGE = "effconvert_runner"  # their package in the archive, for relative imports
_SIBLING = re.compile(rb"^\s*from \.(\w+) import ", re.MULTILINE)
_MAIN = """import sys

from {0}.base import main
from {0}.{1} import RUNNER

sys.exit(main(RUNNER))
"""


def write_runner(name: str, folder: Path) -> Path:
    """Write the runner of the framework to `folder`, with the same bytes each time, and return its path."""
    path, runner = folder / f"run_{name}.pyz", f"run_{name}"
    members = {f"{_PACKAGE}/{module}.py": source for module, source in _sources(runner).items()}
    members |= {"__main__.py": _MAIN.format(_PACKAGE, runner).encode(), f"{_PACKAGE}/__init__.py": b""}
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in sorted(members.items()):
            entry = zipfile.ZipInfo(member)  # always dated 1980
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, content)
    return path


def _sources(runner: str) -> dict[str, bytes]:
    """Return {module: source} of the runner and of all modules beside it that it imports, also indirectly."""
    found: dict[str, bytes] = {}
    missing = {runner}
    while missing:
        module = missing.pop()
        found[module] = files(_RUNNERS).joinpath(f"{module}.py").read_bytes()
        missing |= _siblings(found[module]) - found.keys()
    return found


def _siblings(source: bytes) -> set[str]:
    """Return the modules beside it that a runner imports.

    A pattern is used because `ast.parse` sometimes fails in threads of CPython 3.11 (gh-106905).
    """
    return {name.decode() for name in _SIBLING.findall(source)}

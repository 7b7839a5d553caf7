"""A source archive and a wheel hold all that is needed: installed without the sources, the commands and the demo run.

The environment is new, and the requirements are those of the environment that runs this test: they lie on its path, and
effconvert itself comes from the wheel alone.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from helpers.wheels import PACKAGED, PROJECT

# What stays out of a wheel: the source of the extension, pages for those who read the code, what was built here.
_LEFT_OUT = (".c", ".so", ".pyc")
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"


def built(kind, source, out):
    """Build an `sdist` or a `wheel` of `source` as pip does, and return its path."""
    out.mkdir()
    subprocess.run([sys.executable, "-c", _BUILD.format(kind), out], cwd=source, check=True, capture_output=True)
    (archive,) = out.iterdir()
    return archive


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel that was built from nothing but the source archive."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "source").mkdir()
    for name in PACKAGED:
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, folder / "source" / name)
    with tarfile.open(built("sdist", folder / "source", folder / "sdist")) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return built("wheel", unpacked, folder / "wheel")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of programs of a new environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    programs, packages = (
        Path(sysconfig.get_path(key, "venv", {"base": str(folder)})) for key in ("scripts", "purelib")
    )
    requirements = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "requirements.pth").write_text("\n".join(requirements))
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        programs / "python",
        "install",
        "--no-deps",
        "--no-index",
        wheel,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return programs


def run(programs, folder, *command):
    """Run a program of the environment in `folder`, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "EFFCONVERT"))}
    done = subprocess.run(
        [programs / command[0], *command[1:]], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_file_of_the_package_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    wanted = set()
    for folder in ("effconvert", "mappings", "reference", "validate"):
        for path in (PROJECT / folder).rglob("*"):
            is_page = path.name == "README.md" and folder in ("effconvert", "validate")
            if path.is_file() and not path.name.endswith(_LEFT_OUT) and not is_page:
                inside = path.relative_to(PROJECT).as_posix()
                wanted.add(inside if folder == "effconvert" else f"effconvert/{inside}")
    assert len(wanted) > 300
    assert sorted(wanted - held) == []


def test_it_is_imported_from_the_installation_and_not_from_the_sources(installed, tmp_path):
    place = run(installed, tmp_path, "python", "-c", "import effconvert; print(effconvert.__file__)")
    assert Path(place).is_relative_to(installed.parent)
    assert "effconvert, version" in run(installed, tmp_path, "effconvert", "--version")
    assert "Look up:" in run(installed, tmp_path, "effconvert", "--help")


def test_the_demo_runs_from_the_installation_alone(installed, tmp_path):
    printed = run(installed, tmp_path, "effconvert", "demo")
    assert "same: every layer is equal bit for bit" in printed
    assert (tmp_path / "effconvert-demo" / "report" / "report.html").as_uri() == printed.splitlines()[-1]

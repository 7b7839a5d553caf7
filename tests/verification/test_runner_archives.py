"""A runner is one file that every interpreter with numpy and its framework can start, without effconvert."""

import ast
import os
import subprocess
import sys
import zipfile
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from effconvert.architecture.canonical import CANONICAL
from effconvert.errors import EffconvertError
from effconvert.verification.launching import RUNNERS, run_network
from effconvert.verification.runner_archive import write_runner
from helpers.verification.fake_pythons import with_numpy_alone
from helpers.wheels import build_wheel

TORCH, MINDSPORE = {"base", "torch_base"}, {"base", "mindspore_base"}
BASES = dict.fromkeys(RUNNERS, TORCH) | {
    "mindcv": MINDSPORE,
    "mindvision": MINDSPORE,
    "keras": {"base", "tensorflow_base"},
    "tensorflow": {"base", "tensorflow_base", "official_network", "official_variables"},
    "onnx": {"base", "deployed_base", "onnx_copy"},
    "tflite": {"base", "deployed_base"},
}
# A runner may also import the packages with which its recorded packages read files.
READERS = {name: {"safetensors"} if needed == TORCH else set() for name, needed in BASES.items()} | {"keras": {"h5py"}}
AFTER_3_9 = {"tomllib"}
# Without the finder of an editable installation, from a wheel: a zip, from which Python imports as it is.
FROM_A_WHEEL = """
import sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from effconvert.verification import runner_archive
assert runner_archive.__file__.startswith(sys.argv[1])
for name in sys.argv[2:]:
    runner_archive.write_runner(name, Path.cwd())
"""


@pytest.fixture(params=RUNNERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, with a space in its name, that holds every runner and nothing else."""
    folder = tmp_path_factory.mktemp("my runners")
    for name in RUNNERS:
        write_runner(name, folder)
    return folder


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_numpy_alone(tmp_path_factory.mktemp("another environment"))


def members(archives: Path, name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(archives / f"run_{name}.pyz") as archive:
        return {member: archive.read(member) for member in archive.namelist()}


def started(python: Path, archive: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(python), *options[:-1], str(archive), options[-1]]
    return subprocess.run(command, cwd="/", env=os.environ | variables, capture_output=True, text=True, check=False)


def test_every_framework_has_a_runner_and_every_runner_a_framework() -> None:
    runners = files("effconvert.verification.runners").iterdir()
    names = {path.name.removeprefix("run_").removesuffix(".py") for path in runners if path.name.startswith("run_")}
    assert names == {*RUNNERS, CANONICAL}


def test_an_archive_holds_the_runner_and_the_modules_that_it_needs_and_no_others(archives: Path, name: str) -> None:
    needed = {f"effconvert_runner/{module}.py" for module in {"__init__", f"run_{name}", *BASES[name]}}
    assert members(archives, name).keys() == {"__main__.py", *needed}


def test_an_archive_is_the_same_bytes_whenever_it_is_written(archives: Path, name: str, tmp_path: Path) -> None:
    again = write_runner(name, tmp_path)
    assert again.read_bytes() == (archives / f"run_{name}.pyz").read_bytes()
    with zipfile.ZipFile(again) as archive:
        assert {entry.date_time[:3] for entry in archive.infolist()} == {(1980, 1, 1)}


def test_a_wheel_that_is_read_only_and_not_even_unpacked_writes_the_same(archives: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        FROM_A_WHEEL,
        str(build_wheel(tmp_path / "built", "no-such-compiler")),
        *RUNNERS,
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    found = {path.name: path.read_bytes() for path in tmp_path.glob("*.pyz")}
    assert found == {path.name: path.read_bytes() for path in archives.iterdir()}


def test_all_that_is_shipped_is_python_3_9(archives: Path, name: str) -> None:
    for source in members(archives, name).values():
        ast.parse(source, feature_version=(3, 9))


def imported(node: ast.AST) -> list[str]:
    """The packages that the statement imports; what stands beside it in the archive has none."""
    if isinstance(node, ast.ImportFrom):
        return [] if node.level else [str(node.module).partition(".")[0]]
    return [alias.name.partition(".")[0] for alias in node.names] if isinstance(node, ast.Import) else []


def test_a_runner_needs_nothing_but_numpy_to_say_that_its_framework_is_missing(archives: Path, name: str) -> None:
    trees = [ast.parse(source) for source in members(archives, name).values()]
    at_once = {package for tree in trees for node in tree.body for package in imported(node)}
    assert at_once - sys.stdlib_module_names - {"effconvert_runner"} == {"numpy"}
    assert not at_once & AFTER_3_9


def test_a_runner_imports_its_framework_and_numpy_alone(archives: Path, name: str) -> None:
    trees = [ast.parse(source) for source in members(archives, name).values()]
    anywhere = {package for tree in trees for node in ast.walk(tree) for package in imported(node)}
    packages = import_module(f"effconvert.verification.runners.run_{name}").RUNNER.packages
    own = {package.replace("-", "_") for package in packages} | READERS[name]
    assert anywhere - sys.stdlib_module_names <= {"effconvert_runner", "numpy", *own}


def test_an_interpreter_without_effconvert_starts_it(archives: Path, foreign: Path, name: str) -> None:
    ran = started(foreign, archives / f"run_{name}.pyz", "--check")
    assert ran.returncode == 9
    assert ran.stderr.startswith(f"{name}: {name} cannot be imported: No module named ")


@pytest.mark.parametrize(
    ("options", "variables"), [(["-I"], {}), (["-P"], {}), ([], {"PYTHONSAFEPATH": "1"})], ids=["-I", "-P", "variable"]
)
def test_an_interpreter_that_looks_for_no_modules_beside_the_script_starts_it(
    archives: Path, foreign: Path, options: list[str], variables: dict[str, str]
) -> None:
    ran = started(foreign, archives / "run_timm.pyz", *options, "--check", **variables)
    assert (ran.returncode, ran.stderr) == (9, "timm: timm cannot be imported: No module named 'torch'\n")


def test_its_help_says_what_it_needs_and_how_it_is_called(archives: Path, foreign: Path, name: str) -> None:
    ran = started(foreign, archives / f"run_{name}.pyz", "--help")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "It needs only numpy and " in ran.stdout
    assert f"    python run_{name}.pyz FILE --settings settings.json --inputs inputs.npz --out run.npz\n" in ran.stdout
    assert f"`effconvert run FILE --framework {name} --prepare FOLDER` writes settings and inputs." in ran.stdout


def test_a_runner_that_breaks_shows_the_line_in_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = "def is_model(name): return True\ndef create_model(*_, **__): raise RuntimeError('out of memory')\n"
    (tmp_path / "timm.py").write_text(stub)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("EFFCONVERT_DEBUG", "1")
    facts = {"activation": "silu", "padding": "tf-same", "bn_eps": 1e-3, "in_channels": 3, "classes": 7}
    settings = {"variant": "b0", "name": "b0", "head_conv": True, **facts}
    inputs = {"images": np.zeros((1, 3, 8, 8), np.float32)}
    with pytest.raises(EffconvertError, match="timm: RuntimeError: out of memory") as caught:
        run_network("timm", sys.executable, tmp_path / "b0.pth", settings, inputs, tmp_path / "run.npz")
    assert 'run_timm.pyz/effconvert_runner/run_timm.py", line ' in str(caught.value)
    assert "network = timm.create_model(name, **arguments)" in str(caught.value)

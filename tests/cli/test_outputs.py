"""Names of outputs are checked before the work: a suffix that says another format is refused."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from effconvert import convert
from helpers.running import Ran

Run = Callable[..., Ran]

_FILES = [
    ("features LITE0 IMAGE --out OUT/f.csv", ".npz"),
    ("run LITE0 --framework canonical --out OUT/r.txt", ".npz"),
    ("tables --variant b0 --csv OUT/t.txt", ".csv"),
    ("map draft LITE0 --variant lite0 --out OUT/my.txt", ".toml"),
    ("chart cost --published --out OUT/c.jpg", ".svg"),
    ("inspect LITE0 --json=OUT/i.txt", ".json"),
    ("convert LITE0 --to timm --out OUT/b0.json", ".safetensors"),
]
_FOLDERS = [
    "convert LITE0 --to huggingface --out OUT/hf.safetensors",
    "convert LITE0 --to tf-official --out OUT/model.ckpt",
    "convert --published tf/b0 --to hf --out OUT/hf.safetensors",
    "pt2tf LITE0 --out OUT/tf.index",
    "report --published --out OUT/report.html",
    "demo --out OUT/demo.zip",
    "run LITE0 --framework tensorflow --prepare OUT/run.npz",
    "verify LITE0 --against LITE0 --keep OUT/runs.npz",
    "validate LITE0 --data LITE0 --runs OUT/runs.npz",
]


@pytest.fixture
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image in a folder of its own."""
    path = tmp_path_factory.mktemp("images") / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    return path


@pytest.fixture(scope="module")
def lite0_file(lite0: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted Lite0; do not change it."""
    return Path(convert(lite0, tmp_path_factory.mktemp("converted") / "lite0.pth", weights="base").output)


def _filled(command: str, lite0: Path, out: Path) -> list[str]:
    return [word.replace("LITE0", str(lite0)).replace("OUT", str(out)) for word in command.split()]


@pytest.mark.parametrize(("command", "suffix"), _FILES)
def test_a_file_with_the_suffix_of_another_format_is_refused(
    run: Run, lite0: Path, tmp_path: Path, image: Path, command: str, suffix: str
) -> None:
    ran = run(*_filled(command.replace("IMAGE", str(image)), lite0, tmp_path))
    assert ran.exit_code == 8
    assert suffix in ran.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", _FOLDERS)
def test_a_folder_with_the_suffix_of_a_file_is_refused(run: Run, lite0: Path, tmp_path: Path, command: str) -> None:
    ran = run(*_filled(command, lite0, tmp_path))
    assert (ran.exit_code, ran.out) == (8, "")
    assert "a folder is written, and" in ran.err
    assert not list(tmp_path.iterdir())


_COMMANDS_ON_THEIR_SOURCE = [
    "convert SOURCE --to timm --out SOURCE",
    "convert SOURCE --to timm --out SOURCE --force",
    "tf2pt SOURCE --out LINK --force",
    "convert LINK --to canonical --out SOURCE --force",
    "pt2timm SOURCE --out HARD --force",
    "pt2tf FOLDER/SOURCE --out FOLDER --force",
]


@pytest.mark.parametrize("command", _COMMANDS_ON_THEIR_SOURCE)
def test_no_conversion_replaces_its_own_source(
    run: Run, lite0_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FOLDER").mkdir()
    for place in ("SOURCE.pth", "FOLDER/SOURCE.pth"):
        shutil.copy(lite0_file, place)
    Path("LINK.pth").symlink_to("SOURCE.pth")
    Path("HARD.pth").hardlink_to("SOURCE.pth")
    ran = run(*re.sub("(SOURCE|LINK|HARD)", r"\1.pth", command).split())
    assert ran.exit_code == 8
    assert "the source of this conversion; give another name with --out" in ran.err
    assert {Path(place).read_bytes() for place in ("SOURCE.pth", "FOLDER/SOURCE.pth")} == {lite0_file.read_bytes()}


@pytest.mark.parametrize("given", ["", "model.ckpt"])
def test_no_conversion_replaces_the_folder_of_its_source(run: Run, lite0: Path, tmp_path: Path, given: str) -> None:
    folder = tmp_path / "own"
    shutil.copytree(lite0, folder)
    held = {path.name: path.read_bytes() for path in folder.iterdir()}
    ran = run("convert", folder / given, "--to", "tf-official", "--out", folder, "--force")
    assert ran.exit_code == 8
    assert "the source of this conversion" in ran.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == held

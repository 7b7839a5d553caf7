"""The project installs with a compiler and without, and then prepares the same images."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from helpers.wheels import build_wheel

IMAGES = Path(__file__).parent / "golden" / "preprocessing"
# Without the finder of an editable installation, which would supply the module that the wheel lacks.
PREPARE = """
import sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in getattr(finder, "__module__", "")]
from effconvert.preprocessing import antialiasing, chroma
from effconvert.preprocessing.pipeline import pixels
from effconvert.preprocessing.recipes import recipe_for
assert antialiasing.__file__.startswith(sys.argv[1])
print(antialiasing._antialiasing is not None, chroma._tensorflow is not None)
recipes = [recipe_for("timm", "b0"), recipe_for("tf-official", "b0"), recipe_for("tf-official", "lite0")]
print(*(pixels(image, recipe).tobytes().hex() for image in sys.argv[2:] for recipe in recipes))
"""


def installed(folder: Path, compiler: str) -> Path:
    """Return where a wheel that was built with that compiler is unpacked."""
    with zipfile.ZipFile(build_wheel(folder, compiler)) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_a_wheel_with_the_extension_and_one_without_give_the_same_pixels(tmp_path: Path) -> None:
    images, found = [IMAGES / "a_500x375.jpg", IMAGES / "b_375x500.jpg"], {}
    for compiler in ("cc", "no-such-compiler"):
        packages = installed(tmp_path / compiler, compiler)
        command = [sys.executable, "-c", PREPARE, str(packages), *map(str, images)]
        ran = subprocess.run(command, cwd=packages, check=True, capture_output=True, text=True)
        built, found[compiler] = ran.stdout.splitlines()
        assert (built == "True True") == (compiler == "cc" and shutil.which("cc") is not None)
    assert found["cc"] == found["no-such-compiler"]

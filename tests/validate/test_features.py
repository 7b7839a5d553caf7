"""`effconvert features` on the command line: written features, their record, and refused inputs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import effconvert
from effconvert.hashing import file_sha256
from effconvert.model import EfficientNet
from effconvert.preprocessing.pipeline import preprocess
from effconvert.preprocessing.recipes import official_recipe
from effconvert.validate.inference import batches
from helpers.running import Ran
from helpers.validate.asked_files import SIZE, pictures, seeing, written

RECIPE = official_recipe("b0").at(SIZE)


@pytest.fixture(scope="module")
def network() -> EfficientNet:
    return seeing(classes=7)


@pytest.fixture(scope="module")
def file(network: EfficientNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as a file; do not change it."""
    return written(network, tmp_path_factory.mktemp("asked") / "own.safetensors")


@pytest.fixture
def features(run: Callable[..., Ran], file: Path, tmp_path: Path) -> Callable[..., dict[str, np.ndarray]]:
    """Run the command on images of 64 pixels and return what it wrote."""

    def written_by(*arguments: Any) -> dict[str, np.ndarray]:
        out = tmp_path / "features.npz"
        ran = run("features", file, *arguments, "--size", SIZE, "--out", out, "--force")
        assert (ran.exit_code, ran.err) == (0, "")
        with np.load(out, allow_pickle=False) as arrays:
            return dict(arrays)

    return written_by


def prepared(paths: list[Path]) -> torch.Tensor:
    return torch.from_numpy(np.stack([preprocess(path, RECIPE) for path in paths]))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_writes_the_pooled_features_and_says_so(
    run: Callable[..., Ran], file: Path, network: EfficientNet, tmp_path: Path
) -> None:
    images = pictures(tmp_path / "images", 3)
    ran = run("features", file, tmp_path / "images", "--size", SIZE, "--out", tmp_path / "f.npz")
    assert (ran.exit_code, ran.err) == (0, "")
    assert f"{tmp_path / 'f.npz'}: features [3, 1280], float32, " in ran.out
    assert "tf-official: 64 px" in ran.out
    with np.load(tmp_path / "f.npz", allow_pickle=False) as arrays, torch.no_grad():
        expected = network.forward_features(prepared(images)).mean((2, 3)).numpy()
        assert np.array_equal(arrays["features"], expected)
        assert list(arrays["names"]) == [str(path) for path in images]
    assert names_in(tmp_path) == ["f.npz", "images"]


def test_two_images_have_different_features(features: Callable[..., dict[str, np.ndarray]], tmp_path: Path) -> None:
    first, second = features(*pictures(tmp_path / "images"))["features"]
    assert np.abs(first - second).max() > 0.1 * np.abs(first).max()


def test_every_level_is_what_the_network_has_there(
    features: Callable[..., dict[str, np.ndarray]], network: EfficientNet, tmp_path: Path
) -> None:
    images = pictures(tmp_path / "images")
    levels = ["0", "1", "2", "3", "4", "5", "head", "pooled"]
    found = features(*images, *[word for level in levels for word in ("--level", level)])
    batch = prepared(images)
    with torch.no_grad():
        maps, head = network.extract_features(batch), network.forward_features(batch)
    expected = {f"level_{level}": feature_map for level, feature_map in enumerate([batch, *maps])}
    expected |= {"head": head, "pooled": head.mean((2, 3))}
    assert found.keys() == expected.keys() | {"names", "record"}
    for level in range(6):
        assert found[f"level_{level}"].shape[2:] == (SIZE // 2**level, SIZE // 2**level)
    for name, values in expected.items():
        assert np.array_equal(found[name], values.numpy()), name


@pytest.mark.parametrize("level", ["0", "4", "head"])
def test_one_level_is_called_features(
    features: Callable[..., dict[str, np.ndarray]], tmp_path: Path, level: str
) -> None:
    images = pictures(tmp_path / "images")
    alone = features(*images, "--level", level, "--level", level)
    beside = features(*images, "--level", level, "--level", "pooled")
    assert alone.keys() == {"features", "names", "record"}
    assert np.array_equal(alone["features"], beside["head" if level == "head" else f"level_{level}"])


def test_the_record_says_what_the_features_are_of(
    features: Callable[..., dict[str, np.ndarray]], file: Path, network: EfficientNet, tmp_path: Path
) -> None:
    record = json.loads(str(features(*pictures(tmp_path / "images"), "--level", "3", "--level", "5")["record"]))
    assert record["schema"] == "effconvert/features/1"
    assert record["model"]["file"] == str(file)
    assert record["model"]["sha256"] == {file.name: file_sha256(file)}
    assert record["model"]["facts"] == network.facts.to_dict()
    assert record["recipe"] == RECIPE.to_dict()
    assert record["levels"] == {"level_3": "3", "level_5": "5"}
    assert record["computing"]["versions"]["effconvert"] == effconvert.__version__


def test_the_order_is_that_of_the_arguments_in_however_many_batches(
    features: Callable[..., dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "folder", 3)
    one, other = pictures(tmp_path / "files")
    at_once = features(other, tmp_path / "folder", one)
    monkeypatch.setattr(batches, "_PIXELS_AT_ONCE", 2 * SIZE**2)
    monkeypatch.setattr(batches, "_BYTES_AHEAD", 3 * 12 * SIZE**2)
    in_batches = features(other, tmp_path / "folder", one)
    assert list(in_batches["names"]) == [str(path) for path in (other, *sorted((tmp_path / "folder").iterdir()), one)]
    assert np.abs(at_once["features"] - in_batches["features"]).max() < 1e-5 * np.abs(at_once["features"]).max()


PILES = """
import sys, tracemalloc
from pathlib import Path
from effconvert.validate.inference import batches, feature_maps

held, compute = [], feature_maps.extract_features


def watched(*arguments):
    held.append(tracemalloc.get_traced_memory()[0])  # of what is made of torch's maps on their way to the file
    return compute(*arguments)


feature_maps.extract_features, batches._PIXELS_AT_ONCE, batches._BYTES_AHEAD = watched, 2 * int(sys.argv[1]) ** 2, 0
tracemalloc.start()
saved = feature_maps.save_features(
    sys.argv[2], [sys.argv[3]], Path(sys.argv[4]), levels=["1"], size=int(sys.argv[1]), dtype="float16"
)
assert len(held) == 20, held
assert held[-1] - held[2] < saved.nbytes / 4, held
"""


def test_maps_do_not_pile_up_in_memory(file: Path, tmp_path: Path) -> None:
    """Measure in a separate process, so that nothing else changes its memory."""
    pictures(tmp_path / "images", 40)
    arguments = map(str, [SIZE, file, tmp_path / "images", tmp_path / "f.npz"])
    ran = subprocess.run([sys.executable, "-c", PILES, *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_float16_is_what_float32_rounds_to(features: Callable[..., dict[str, np.ndarray]], tmp_path: Path) -> None:
    images = pictures(tmp_path / "images")
    whole, half = (features(*images, "--dtype", dtype)["features"] for dtype in ("float32", "float16"))
    assert half.dtype == np.float16
    assert np.array_equal(half, whole.astype(np.float16))


def test_what_does_not_fit_float16_is_refused(run: Callable[..., Ran], tmp_path: Path) -> None:
    large = seeing(classes=7)
    with torch.no_grad():
        large.head.bn.weight.mul_(1e6)
    path = written(large, tmp_path / "large.safetensors")
    arguments = ("features", path, *pictures(tmp_path / "images"), "--size", SIZE, "--out", tmp_path / "f.npz")
    ran = run(*arguments, "--dtype", "float16")
    assert ran.exit_code == 5
    assert "is too large for float16; omit --dtype" in ran.err
    assert not (tmp_path / "f.npz").exists()
    assert run(*arguments).exit_code == 0


def test_the_same_input_gives_the_same_bytes(features: Callable[..., dict[str, np.ndarray]], tmp_path: Path) -> None:
    images = pictures(tmp_path / "images")
    contents = []
    for _ in range(2):
        features(*images, "--level", "2", "--level", "pooled")
        contents.append((tmp_path / "features.npz").read_bytes())
    assert contents[0] == contents[1]


def test_an_output_that_exists_survives_without_force_and_every_failure(
    run: Callable[..., Ran], file: Path, tmp_path: Path
) -> None:
    out, (image, _) = tmp_path / "f.npz", pictures(tmp_path / "images")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    out.write_bytes(b"before")
    ran = run("features", file, image, "--size", SIZE, "--out", out)
    assert ran.exit_code == 8
    assert f"{out}: exists; give --force to replace it" in ran.err
    assert run("features", file, image, tmp_path / "broken.jpg", "--size", SIZE, "--out", out, "--force").exit_code == 7
    assert out.read_bytes() == b"before"
    assert names_in(tmp_path) == ["broken.jpg", "f.npz", "images"]
    assert run("features", file, image, "--size", SIZE, "--out", out, "--force").exit_code == 0
    assert out.read_bytes() != b"before"


def test_what_is_read_is_not_replaced_even_with_force(run: Callable[..., Ran], tmp_path: Path) -> None:
    file = written(seeing(classes=7), tmp_path / "own.safetensors")
    image, _ = pictures(tmp_path / "images")
    before = {path: path.read_bytes() for path in (file, image)}
    for out in before:
        ran = run("features", file, image, "--size", SIZE, "--out", out, "--force")
        assert ran.exit_code == 8
        assert f"{out}: is an input of this command; give another name with --out" in ran.err
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_that_does_not_exist_is_8(run: Callable[..., Ran], file: Path, tmp_path: Path) -> None:
    ran = run("features", file, *pictures(tmp_path / "images"), "--out", tmp_path / "none" / "f.npz")
    assert ran.exit_code == 8
    assert f"the folder {tmp_path / 'none'} does not exist" in ran.err


def test_a_network_that_gives_nan_is_5_and_writes_nothing(run: Callable[..., Ran], tmp_path: Path) -> None:
    state = seeing(classes=7).state_dict()
    state["head.bn.running_var"][0] = -1.0
    torch.save(state, tmp_path / "bad.pth")
    first, second = pictures(tmp_path / "images")
    ran = run("features", tmp_path / "bad.pth", first, second, "--size", SIZE, "--out", tmp_path / "f.npz")
    assert ran.exit_code == 5
    assert f"{tmp_path / 'bad.pth'}: the network gives NaN or infinity for {first}, {second}" in ran.err
    assert names_in(tmp_path) == ["bad.pth", "images"]


def test_a_backbone_without_a_head_has_its_last_level_pooled(run: Callable[..., Ran], tmp_path: Path) -> None:
    file = written(seeing(classes=0, head_conv=False), tmp_path / "backbone.safetensors")
    arguments = ("features", file, *pictures(tmp_path / "images"), "--size", SIZE, "--out", tmp_path / "f.npz")
    ran = run(*arguments, "--level", "head")
    assert ran.exit_code == 4
    assert "is a backbone without a head; its last feature map is level 5" in ran.err
    assert run(*arguments, "--level", "5", "--level", "pooled").exit_code == 0
    with np.load(tmp_path / "f.npz") as arrays:
        assert np.allclose(arrays["pooled"], arrays["level_5"].mean((2, 3)), atol=1e-5)
        assert arrays["pooled"].std() > 0


def test_a_classifier_makes_no_difference_to_features(run: Callable[..., Ran], file: Path, tmp_path: Path) -> None:
    images = pictures(tmp_path / "images")
    found = []
    for number, options in enumerate([(), ("--backbone",)]):
        out = tmp_path / f"{number}.npz"
        assert run("features", file, *images, "--size", SIZE, "--out", out, *options).exit_code == 0
        with np.load(out) as arrays:
            found.append(arrays["features"])
    assert np.array_equal(*found)


def test_a_level_that_there_is_not_is_a_usage_error(run: Callable[..., Ran], file: Path, tmp_path: Path) -> None:
    ran = run("features", file, *pictures(tmp_path / "images"), "--level", "6", "--out", tmp_path / "f.npz")
    assert ran.exit_code == 2
    assert run("features", file, *pictures(tmp_path / "images")).exit_code == 2


def test_quiet_prints_nothing(run: Callable[..., Ran], file: Path, tmp_path: Path) -> None:
    images = pictures(tmp_path / "images")
    ran = run("features", file, *images, "--size", SIZE, "--out", tmp_path / "f.npz", "--quiet")
    assert ran == Ran(0, "", "")


def test_the_example_of_its_help_works_as_printed(
    run: Callable[..., Ran], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import sys; from effconvert.cli import main; main(['features', '--help']); "
        "sys.exit(bool({'torch', 'numpy'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    example = next(line for line in ran.stdout.splitlines() if "Example: " in line).split("Example: effconvert ")[1]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.safetensors").write_bytes(file.read_bytes())
    pictures(tmp_path)[0].rename(tmp_path / "cat.jpg")
    assert run(*example.split()).exit_code == 0
    assert (tmp_path / "features.npz").is_file()

"""A run belongs to its images, labels and classes: it is not shown, replaced or compared as that of others."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageFilter

from effconvert.options import Options
from effconvert.validate.data.image_hashes import image_hash
from effconvert.validate.inference.classification import classify
from effconvert.validate.predictions import read_predictions, write_predictions
from effconvert.verification.network_files import examine
from helpers import image_sets
from helpers.pictures import picture, saved
from helpers.running import Ran
from helpers.validate.asked_files import SIZE, seeing, written
from helpers.validate.evaluated import CLASSES

Validate = Callable[..., Ran]
IMAGES = 40


@pytest.fixture
def validate(run: Callable[..., Ran], tmp_path: Path) -> Validate:
    """Run the command as `validate(network, data, …)` at 64 pixels, without workers, runs in `tmp_path`/runs."""

    def command(network: Path, data: Path, *options: object) -> Ran:
        where = ("--data", data, "--size", SIZE, "--workers", 0, "--runs", tmp_path / "runs")
        return run("validate", network, *where, *options)

    return command


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, zoo_network: Path) -> Path:
    """Images in folders of what the network sees in them, equal names in all folders; do not change them."""
    folder = tmp_path_factory.mktemp("data")
    mixed = folder / "mixed"
    for number in range(IMAGES):
        image_sets.write(mixed / f"{number:03}.jpg", saved(picture(70, 80, number), quality=90))
    answers = classify(zoo_network, [mixed], size=SIZE, top=1).images
    counts = dict.fromkeys(CLASSES, 0)
    for path, (first,) in answers:
        name = CLASSES[first.index]
        image_sets.write(folder / "seen" / name / f"{counts[name]}.jpg", path.read_bytes())
        counts[name] += 1
    for name in CLASSES:
        (folder / "seen" / name).mkdir(exist_ok=True)
    assert sum(count > 0 for count in counts.values()) > 1
    return folder / "seen"


@pytest.fixture
def order(tmp_path: Path) -> Path:
    """The network's own order of the classes."""
    return image_sets.write(tmp_path / "order.txt", "\n".join(CLASSES).encode())


def blurred(data: Path, copy: Path) -> Path:
    """Return a copy with other pictures, of the same names and of as many bytes each, as far as they fit."""
    shutil.copytree(data, copy)
    for path in copy.rglob("*.jpg"):
        made = io.BytesIO()
        with Image.open(path) as image:
            image.filter(ImageFilter.GaussianBlur(4)).save(made, "JPEG", quality=90)
        path.write_bytes(made.getvalue().ljust(path.stat().st_size, b"\0"))
    return copy


def accuracy(ran: Ran) -> float:
    (line,) = (line for line in ran.out.splitlines() if line.startswith("top-1"))
    return float(line.split()[1])


def names(runs: Path) -> list[str]:
    return sorted(path.name for path in runs.iterdir())


@pytest.mark.parametrize("options", [["--resume"], []], ids=str)
def test_blurred_copies_have_their_own_accuracy_and_run(
    validate: Validate, zoo_network: Path, seen: Path, order: Path, tmp_path: Path, options: list[str]
) -> None:
    copies = blurred(seen, tmp_path / "blurred")
    sizes = [{path.name: path.stat().st_size for path in sorted(folder.rglob("*"))} for folder in (seen, copies)]
    assert sizes[0] == sizes[1]
    first = validate(zoo_network, seen, "--classes", order)
    before = (tmp_path / "runs" / "zoo-net.npz").read_bytes()
    second = validate(zoo_network, copies, "--classes", order, *options)
    assert accuracy(first) == 100
    assert accuracy(second) < 100
    assert "zoo-net.npz is another run: other images (" in second.out
    assert "zoo-net-2.npz" in second.out
    assert "are from an earlier run" not in second.out
    assert (tmp_path / "runs" / "zoo-net.npz").read_bytes() == before
    assert names(tmp_path / "runs") == ["zoo-net-2.npz", "zoo-net.npz"]
    again = validate(zoo_network, copies, "--classes", order, "--resume")
    assert accuracy(again) == accuracy(second)
    assert f"{IMAGES} of {IMAGES} results are from an earlier run" in again.out


def test_another_order_of_the_classes_has_its_own_accuracy(
    validate: Validate, zoo_network: Path, seen: Path, order: Path, tmp_path: Path
) -> None:
    other = image_sets.write(tmp_path / "other.txt", "\n".join([*CLASSES[1:], CLASSES[0]]).encode())
    assert accuracy(validate(zoo_network, seen, "--classes", order)) == 100
    for options in (["--resume"], []):
        ran = validate(zoo_network, seen, "--classes", other, *options)
        assert accuracy(ran) == 0
        assert "zoo-net.npz is another run: other classes, or these in another order" in ran.out
    assert accuracy(validate(zoo_network, seen, "--classes", order, "--resume")) == 100


@pytest.fixture(scope="module")
def imagenet_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Lite0 of ImageNet's classes; do not change it."""
    return written(seeing("lite0"), tmp_path_factory.mktemp("network") / "net.safetensors")


def other_picture(images: list[image_sets.Sample]) -> list[image_sets.Sample]:
    data = bytearray(images[5].data)
    data[len(data) * 3 // 4] ^= 1
    return [*images[:5], images[5]._replace(data=bytes(data)), *images[6:]]


@pytest.mark.parametrize("container", image_sets.WRITERS)
def test_a_byte_that_has_changed_is_another_run_in_every_container(
    validate: Validate, imagenet_network: Path, container: str, tmp_path: Path
) -> None:
    images = image_sets.samples()
    write = image_sets.WRITERS[container]
    options = ("--partial", "--skip-broken")
    assert validate(imagenet_network, write(tmp_path / "set", images), *options).exit_code == 0
    same = validate(imagenet_network, write(tmp_path / "copy", images), *options, "--resume")
    assert f"{len(images)} of {len(images)} results are from an earlier run" in same.out
    shutil.rmtree(tmp_path / "set")
    changed = validate(imagenet_network, write(tmp_path / "set", other_picture(images)), *options, "--resume")
    assert f"net.npz is another run: other images ({images[5].name} has other bytes)" in changed.out
    fewer = validate(imagenet_network, write(tmp_path / "fewer", images[1:]), *options, "--resume")
    assert "net.npz is another run: other names of images" in fewer.out
    assert names(tmp_path / "runs") == ["net-2.npz", "net-3.npz", "net.npz"]


def test_a_broken_image_that_was_left_out_and_is_mended_makes_another_run(
    validate: Validate, zoo_network: Path, seen: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(seen, tmp_path / "data"))
    broken = next(data.rglob("0.jpg"))
    whole = broken.read_bytes()
    broken.write_bytes(b"no image")
    validate(zoo_network, data, "--skip-broken")
    assert "are from an earlier run" in validate(zoo_network, data, "--skip-broken", "--resume").out
    broken.write_bytes(whole)
    ran = validate(zoo_network, data, "--skip-broken", "--resume")
    assert f"has other bytes); this run will be {tmp_path / 'runs' / 'zoo-net-2.npz'}" in ran.out


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_keeps_the_hash_of_each_image_that_it_answered(
    run: Callable[..., Ran], zoo: Path, zoo_network: Path, tmp_path: Path, workers: int
) -> None:
    data = Path(shutil.copytree(zoo, tmp_path / "zoo"))
    (data / "cat" / "020.jpg").write_bytes(b"no image")
    where = ("--data", data, "--size", SIZE, "--workers", workers, "--runs", tmp_path / "runs", "--quiet")
    assert run("validate", zoo_network, *where, "--skip-broken").exit_code == 0
    found = read_predictions(tmp_path / "runs" / "zoo-net.npz")
    assert found.hashes is not None
    kept = dict(zip(found.names.tolist(), (row.tobytes() for row in found.hashes), strict=True))
    assert kept == {path.name: image_hash(path.read_bytes()) for path in data.rglob("*.jpg") if path.name != "020.jpg"}
    assert found.record["dataset"]["skipped_hashes"] == {"13": image_hash(b"no image").hex()}


@pytest.fixture
def two_runs(validate: Validate, zoo_network: Path, seen: Path, order: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A run, and one of blurred copies, in which one image is still the same."""
    copies = blurred(seen, tmp_path / "blurred")
    same = next(copies.rglob("0.jpg"))
    shutil.copy(seen / same.relative_to(copies), same)
    validate(zoo_network, seen, "--classes", order)
    validate(zoo_network, copies, "--classes", order)
    return tmp_path / "runs" / "zoo-net.npz", tmp_path / "runs" / "zoo-net-2.npz"


REASON = f"{IMAGES - 1} of {IMAGES} images have the same name but are different pictures ("


def test_other_pictures_are_not_compared(run: Callable[..., Ran], two_runs: tuple[Path, Path], tmp_path: Path) -> None:
    ran = run("compare", *two_runs)
    assert ran.exit_code == 5
    assert REASON in ran.err
    assert "nothing was compared; measure both on the same images" in ran.err
    chart = run("chart", "agreement", *two_runs, "--out", tmp_path / "agreement.svg")
    assert chart.exit_code == 2
    assert REASON in " ".join(chart.err.split())
    assert not (tmp_path / "agreement.svg").exists()
    report = run("report", *two_runs, "--out", tmp_path / "report")
    assert report.exit_code == 0
    assert REASON in report.out
    document = json.loads((tmp_path / "report" / "report.json").read_text())
    assert document["agreement"]["images"][0][1] == 0
    (pair,) = document["agreement"]["refused"]
    assert {pair["first"], pair["second"]} == set(document["agreement"]["ids"])
    for name in ("report.md", "report.html", "agreement.csv"):
        assert f"{IMAGES - 1} of {IMAGES} images have the same name but are different pictures" in (
            tmp_path / "report" / name
        ).read_text().replace("\\", "")


def test_another_order_of_classes_is_not_compared(
    run: Callable[..., Ran], validate: Validate, zoo_network: Path, seen: Path, order: Path, tmp_path: Path
) -> None:
    other = image_sets.write(tmp_path / "other.txt", "\n".join(CLASSES[::-1]).encode())
    for classes in (order, other):
        validate(zoo_network, seen, "--classes", classes)
    ran = run("compare", *sorted((tmp_path / "runs").iterdir()))
    assert ran.exit_code == 5
    assert "in another order: class 0 is " in ran.err


def test_the_same_classes_in_two_files_are_compared(
    run: Callable[..., Ran], validate: Validate, zoo_network: Path, seen: Path, order: Path, tmp_path: Path
) -> None:
    for classes, runs in ((order, "one"), (Path(shutil.copy(order, tmp_path / "copy.txt")), "other")):
        validate(zoo_network, seen, "--classes", classes)
        (tmp_path / "runs" / "zoo-net.npz").rename(tmp_path / f"{runs}.npz")
    assert run("compare", tmp_path / "one.npz", tmp_path / "other.npz").exit_code == 0


def test_runs_that_are_older_than_hashes_are_compared_with_a_word(
    run: Callable[..., Ran], two_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    old = tmp_path / "old.npz"
    write_predictions(old, replace(read_predictions(two_runs[0]), hashes=None))
    ran = run("compare", old, two_runs[1])
    assert "A has no hashes of its images: images are matched by name only and may be different" in ran.out
    assert json.loads(run("compare", old, two_runs[1], "--json").out)["doubt"]
    assert not json.loads(run("compare", two_runs[0], two_runs[0], "--json").out)["doubt"]
    report = run("report", old, two_runs[1], "--out", tmp_path / "report")
    assert "images were matched only by name" in report.out
    assert "have no hashes of their images" in (tmp_path / "report" / "report.md").read_text()


def test_the_fingerprint_of_a_run_is_that_of_its_images(
    validate: Validate, zoo_network: Path, seen: Path, order: Path, two_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    one, other = (read_predictions(path).record["dataset"]["fingerprint"] for path in two_runs)
    assert one != other
    tar = image_sets.tar(
        tmp_path / "seen.tar",
        [(str(path.relative_to(seen)), path.read_bytes()) for path in sorted(seen.rglob("*.jpg"))],
    )
    validate(zoo_network, tar, "--classes", order)
    latest = max((tmp_path / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert read_predictions(latest).record["dataset"]["fingerprint"] == one


def test_a_file_whose_tensors_come_from_another_root_is_another_run(zoo: Path, tmp_path: Path) -> None:
    state = seeing("lite0", classes=len(CLASSES)).state_dict()
    both = {f"{root}.{name}": tensor for root in ("teacher", "student") for name, tensor in state.items()}
    torch.save(both, tmp_path / "both.pth")
    found = [examine(tmp_path / "both.pth", Options(root=f"{root}.")) for root in ("teacher", "student")]
    assert found[0].sha256 == found[1].sha256
    assert found[0].tensors_sha256 != found[1].tensors_sha256

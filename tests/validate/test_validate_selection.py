"""`effconvert validate` evaluates the right images, leaves out the right ones, and gives each its class."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from effconvert.errors import DatasetProblem, MissingPath
from effconvert.validate.data.dataset import open_dataset
from effconvert.validate.data.sampling import choose_images
from effconvert.validate.predictions import Predictions, read_predictions
from helpers.image_sets import WRITERS, samples, write_class_folders
from helpers.running import Ran
from helpers.validate.asked_files import seeing, written
from helpers.validate.evaluated import CLASSES, SIZE, without_contrast

Evaluate = Callable[..., Predictions]


@pytest.fixture
def data(zoo: Path, tmp_path: Path) -> Path:
    """The zoo, to be changed."""
    return Path(shutil.copytree(zoo, tmp_path / "zoo"))


@pytest.fixture
def command(run: Callable[..., Ran], zoo_network: Path, tmp_path: Path) -> Callable[..., Ran]:
    """Run the command without workers."""

    def command(data: Path, *arguments: object, file: Path = zoo_network) -> Ran:
        common = ["--size", SIZE, "--workers", 0, "--runs", tmp_path / "runs"]
        return run("validate", file, "--data", data, *common, *arguments)

    return command


@pytest.fixture
def evaluate(command: Callable[..., Ran], zoo_network: Path, tmp_path: Path) -> Evaluate:
    """Run the command and return what it wrote."""

    def evaluate(data: Path, *arguments: object, file: Path = zoo_network) -> Predictions:
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        ran = command(data, *arguments, "--quiet", file=file)
        assert (ran.exit_code, ran.err) == (0, "")
        return read_predictions(tmp_path / "runs" / f"{file.stem}.npz")

    return evaluate


def listed(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("limit", [1, 6, 7, 12, 29])
def test_a_limit_is_spread_evenly_over_the_data(zoo: Path, limit: int) -> None:
    ids = choose_images(open_dataset(zoo), limit)
    assert len(set(ids.tolist())) == limit
    assert ids.tolist() == sorted(ids)
    counts = np.bincount(open_dataset(zoo).labels[ids, 0], minlength=6)
    assert counts.max() - counts.min() <= 1


def test_a_limit_above_all_takes_all(zoo: Path) -> None:
    assert choose_images(open_dataset(zoo), 1000).tolist() == list(range(30))


def test_a_limit_is_what_is_evaluated(evaluate: Evaluate, zoo: Path) -> None:
    found = evaluate(zoo, "--limit", 6)
    assert found.labels[:, 0].tolist() == list(range(6))
    assert (found.record["dataset"]["images"], found.record["dataset"]["evaluated"]) == (30, 6)


def test_a_subset_names_images_with_suffix_or_without_and_classes(
    evaluate: Evaluate, zoo: Path, tmp_path: Path
) -> None:
    subset = listed(tmp_path / "some.txt", "003.jpg", "", "  010  ", "fox", "003")
    names = set(evaluate(zoo, "--subset", subset).names.tolist())
    assert names == {"003.jpg", "010.jpg", *(f"{number:03}.jpg" for number in range(5, 30, 6))}


def test_a_subset_names_synsets(tmp_path: Path) -> None:
    images = samples((1, 65, 281), 2)
    dataset = open_dataset(write_class_folders(tmp_path / "data", images), partial=True)
    synset = next(image.synset for image in images if image.index == 65)
    ids = choose_images(dataset, subset=listed(tmp_path / "some.txt", synset, images[0].name.removesuffix(".JPEG")))
    chosen = {dataset.names[number] for number in ids}
    assert chosen == {images[0].name, *(image.name for image in images if image.index == 65)}


def test_a_limit_of_a_subset_is_of_its_images(zoo: Path, tmp_path: Path) -> None:
    subset = listed(tmp_path / "some.txt", "ant", "bee")
    labels = open_dataset(zoo).labels[choose_images(open_dataset(zoo), 4, subset), 0]
    assert labels.tolist() == [0, 0, 1, 1]


def test_every_line_that_names_nothing_is_named(command: Callable[..., Ran], zoo: Path, tmp_path: Path) -> None:
    ran = command(zoo, "--subset", listed(tmp_path / "some.txt", "ant", "gnu", "", "3.jpg"))
    assert ran.exit_code == 7
    assert f"{tmp_path / 'some.txt'}: these lines are neither images nor classes of {zoo}:" in ran.err
    assert "line 2: gnu" in ran.err
    assert "line 4: 3.jpg" in ran.err


def test_a_list_that_is_empty_missing_or_no_text_is_refused(zoo: Path, tmp_path: Path) -> None:
    dataset = open_dataset(zoo)
    with pytest.raises(DatasetProblem, match="does not name any image"):
        choose_images(dataset, subset=listed(tmp_path / "empty.txt", "", " "))
    with pytest.raises(MissingPath, match=r"gone\.txt"):
        choose_images(dataset, subset=tmp_path / "gone.txt")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetProblem, match=r"bytes\.txt: cannot be read as a list of images"):
        choose_images(dataset, subset=tmp_path / "bytes.txt")


def test_a_broken_image_is_7_with_its_name_and_the_remedy(
    command: Callable[..., Ran], data: Path, tmp_path: Path
) -> None:
    (data / "cat" / "020.jpg").write_bytes(b"no image")
    ran = command(data)
    assert ran.exit_code == 7
    assert "images that cannot be read (--resume --skip-broken continues without them):" in ran.err
    assert f"\n  {data / 'cat' / '020.jpg'}: cannot be read as an image" in ran.err
    assert not (tmp_path / "runs" / "zoo-net.npz").exists()


def test_a_broken_image_that_is_mended_loses_nothing(
    command: Callable[..., Ran], evaluate: Evaluate, data: Path, tmp_path: Path
) -> None:
    whole = evaluate(data)
    shutil.rmtree(tmp_path / "runs")
    path = data / "fox" / "029.jpg"
    content = path.read_bytes()
    path.write_bytes(content[:200])
    assert command(data).exit_code == 7
    path.write_bytes(content)
    ran = command(data, "--resume")
    assert ran.exit_code == 0
    assert "; 29 of 30 results are from an earlier run" in " ".join(ran.out.split())
    assert np.array_equal(read_predictions(tmp_path / "runs" / "zoo-net.npz").top5, whole.top5)


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_images_are_left_out_counted_and_listed_where_asked(
    command: Callable[..., Ran], data: Path, tmp_path: Path, workers: int
) -> None:
    (data / "cat" / "020.jpg").write_bytes(b"no image")
    (data / "ant" / "000.jpg").write_bytes(b"")
    ran = command(data, "--skip-broken", "--workers", workers)
    assert ran.exit_code == 0
    assert "28 of 30, the data set's own, sorted, 2 left out as broken" in ran.out
    assert "020.jpg: " in ran.out
    assert "000.jpg: " in ran.out
    found = read_predictions(tmp_path / "runs" / "zoo-net.npz")
    assert found.record["dataset"]["skipped"].keys() == {"000.jpg", "020.jpg"}
    assert not {"000.jpg", "020.jpg"} & set(found.names.tolist())
    assert len(found) == 28


def test_nothing_but_broken_images_is_7(command: Callable[..., Ran], data: Path) -> None:
    for path in data.rglob("*.jpg"):
        path.write_bytes(b"no image")
    ran = command(data, "--skip-broken")
    assert ran.exit_code == 7
    assert "no image could be evaluated" in ran.err


def test_classes_of_the_users_own_are_taken_in_the_order_of_the_list(
    evaluate: Evaluate, zoo: Path, tmp_path: Path
) -> None:
    names = listed(tmp_path / "names.txt", *(f"{name},the {name}" for name in reversed(CLASSES)))
    usual, turned = evaluate(zoo), evaluate(zoo, "--classes", names)
    assert np.array_equal(turned.labels, 5 - usual.labels)
    assert np.array_equal(turned.top5, usual.top5)
    assert turned.record["dataset"]["class_names"] == [f"the {name}" for name in reversed(CLASSES)]


def test_classes_of_which_the_data_have_only_some(evaluate: Evaluate, zoo: Path, tmp_path: Path) -> None:
    names = [*CLASSES[:3], "gnu", "hen", *CLASSES[3:], "ibis", "jay"]
    file = written(without_contrast(seeing("lite0", classes=10), 5), tmp_path / "ten.safetensors")
    found = evaluate(zoo, "--classes", listed(tmp_path / "names.txt", *names), file=file)
    assert sorted(set(found.labels[:, 0].tolist())) == [0, 1, 2, 5, 6, 7]
    assert found.top5[0].tolist() == [5, 6, 7, 8, 9]
    assert found.hits(1).sum() == 5
    assert found.hits(5).sum() == 15


def test_of_1001_classes_the_first_is_no_class(evaluate: Evaluate, tmp_path: Path) -> None:
    network = without_contrast(seeing("edgetpu-s", classes=1001, fused_stride="project"), 65)
    data = write_class_folders(tmp_path / "data", samples((1, 65), 2))
    found = evaluate(data, "--partial", file=written(network, tmp_path / "edge.safetensors"))
    assert found.top5[0].tolist() == [64, 65, 66, 67, 68]
    assert (found.hits(1).sum(), found.hits(5).sum()) == (0, 2)


@pytest.mark.parametrize("container", WRITERS)
def test_a_limit_takes_the_same_images_whatever_they_come_in(container: str, tmp_path: Path) -> None:
    folders = open_dataset(write_class_folders(tmp_path / "folders", samples()), partial=True)
    other = open_dataset(WRITERS[container](tmp_path / "other", samples()), partial=True)
    chosen = [{data.names[number] for number in choose_images(data, limit=7)} for data in (folders, other)]
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 7

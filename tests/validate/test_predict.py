"""`effconvert predict` on the command line: predicted classes, their names, and refused inputs."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import effconvert
from effconvert.hashing import file_sha256
from effconvert.model import EfficientNet
from effconvert.preprocessing.pipeline import preprocess
from effconvert.preprocessing.recipes import official_recipe, recipe_named
from effconvert.validate.data.classes import imagenet_classes
from effconvert.validate.inference import batches, classification
from helpers.running import Ran
from helpers.validate.asked_files import SIZE, encrypted, pictures, seeing, written


@pytest.fixture(scope="module")
def network() -> EfficientNet:
    return seeing()


@pytest.fixture(scope="module")
def file(network: EfficientNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network, of ImageNet's classes, as a file; do not change it."""
    return written(network, tmp_path_factory.mktemp("asked") / "own.safetensors")


@pytest.fixture
def predictions(run: Callable[..., Ran], file: Path) -> Callable[..., dict[str, Any]]:
    """Run the command on images of 64 pixels and return its JSON."""

    def document(*arguments: object, of: Path = file) -> dict[str, Any]:
        ran = run("predict", of, *arguments, "--size", SIZE, "--json")
        assert (ran.exit_code, ran.err) == (0, "")
        return dict(json.loads(ran.out))

    return document


def indices(document: dict[str, Any]) -> list[list[int]]:
    return [[seen["index"] for seen in image["classes"]] for image in document["images"]]


def logits(document: dict[str, Any]) -> np.ndarray:
    """[images, classes] of a document that has all classes."""
    by_index = [sorted((seen["index"], seen["logit"]) for seen in image["classes"]) for image in document["images"]]
    return np.array(by_index)[..., 1]


def test_it_shows_the_likeliest_classes_of_each_image(run: Callable[..., Ran], file: Path, tmp_path: Path) -> None:
    first, second = pictures(tmp_path / "images")
    ran = run("predict", file, first, second, "--size", SIZE)
    assert (ran.exit_code, ran.err) == (0, "")
    document = json.loads(run("predict", file, first, second, "--size", SIZE, "--json").out)
    assert f"{file}: b0, bn_eps 0.001" in ran.out
    assert "tf-official: 64 px, tf1-bicubic" in ran.out
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    for image in document["images"]:
        rows = [
            f"{seen['index']} {seen['name']} {seen['synset']} {seen['probability']:.4f} {seen['logit']:.3f}"
            for seen in image["classes"]
        ]
        start = lines.index(image["path"])
        assert lines[start + 1] == "index class synset probability logit"
        assert lines[start + 3 : start + 8] == rows


def test_the_answers_are_the_networks_own(
    predictions: Callable[..., dict[str, Any]], network: EfficientNet, tmp_path: Path
) -> None:
    images = pictures(tmp_path / "images")
    document = predictions(*images)
    recipe = official_recipe("b0").at(SIZE)
    with torch.no_grad():
        expected = network(torch.from_numpy(np.stack([preprocess(path, recipe) for path in images])))
    values, order = expected.topk(5)
    shares = expected.double().softmax(1)
    assert [image["path"] for image in document["images"]] == [str(path) for path in images]
    assert indices(document) == order.tolist()
    for number, image in enumerate(document["images"]):
        for place, seen in enumerate(image["classes"]):
            assert seen["logit"] == float(values[number, place])
            assert seen["probability"] == pytest.approx(float(shares[number, seen["index"]]), rel=1e-9)
            assert seen["name"] == imagenet_classes().names[seen["index"]]
            assert seen["synset"] == imagenet_classes().identifiers[seen["index"]]


def test_two_images_get_different_answers(predictions: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    found = logits(predictions(*pictures(tmp_path / "images"), "--top", 1000))
    assert np.abs(found[0] - found[1]).max() > 0.1 * np.ptp(found)


def test_the_document_says_what_was_asked(
    predictions: Callable[..., dict[str, Any]], file: Path, network: EfficientNet, tmp_path: Path
) -> None:
    document = predictions(*pictures(tmp_path / "images"))
    assert document["schema"] == "effconvert/predictions-of-images/1"
    assert document["model"]["sha256"] == {file.name: file_sha256(file)}
    assert document["model"]["facts"] == network.facts.to_dict()
    assert document["model"]["parameters"] == 5_288_548
    assert document["recipe"] == official_recipe("b0").at(SIZE).to_dict()
    (caution,) = document["cautions"]
    assert caution.startswith("when the file was converted, its preprocessing was not known: ")
    assert document["names"] == "ImageNet's"
    assert document["computing"]["device"] == "cpu"


def test_another_recipe_is_taken_when_it_is_named(predictions: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    images = pictures(tmp_path / "images")
    usual, other = (predictions(*images, "--top", 1000, *options) for options in ((), ("--recipe", "timm-half")))
    assert other["recipe"] == recipe_named("timm-half", "b0").at(SIZE).to_dict()
    assert np.abs(logits(usual) - logits(other)).max() > 0.01


def test_a_recipe_that_is_unknown_is_a_usage_error(run: Callable[..., Ran], file: Path, tmp_path: Path) -> None:
    ran = run("predict", file, *pictures(tmp_path / "images"), "--recipe", "caffe")
    assert ran.exit_code == 2
    assert "'caffe' is not a known recipe; known are tf-official, " in ran.err


def test_top_says_how_many_and_one_needs_one_line(
    run: Callable[..., Ran], predictions: Callable[..., dict[str, Any]], file: Path, tmp_path: Path
) -> None:
    images = pictures(tmp_path / "images")
    assert [len(classes) for classes in indices(predictions(*images, "--top", 3))] == [3, 3]
    assert [len(classes) for classes in indices(predictions(*images, "--top", 5000))] == [1000, 1000]
    ran = run("predict", file, *images, "--size", SIZE, "--top", 1)
    assert [line.partition(": ")[0] for line in ran.out.splitlines()[-2:]] == [str(path) for path in images]


def test_names_come_from_the_users_list_first(predictions: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    names = [f"number {index}" for index in range(1000)]
    (tmp_path / "names.txt").write_text("\n".join(names))
    document = predictions(*pictures(tmp_path / "images"), "--classes", tmp_path / "names.txt")
    assert document["names"] == f"as {tmp_path / 'names.txt'} has them"
    for image in document["images"]:
        assert all((seen["name"], seen["synset"]) == (names[seen["index"]], None) for seen in image["classes"])


def test_names_that_come_with_the_weights_are_taken(predictions: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    folder = written(seeing(classes=3), tmp_path / "folder", to="huggingface")
    weights = folder / "model.safetensors"
    save_file(load_file(weights), weights)  # as anybody writes it, who does not say where it came from
    labels = ("cat", "dog", "hen")
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    (folder / "config.json").write_text(json.dumps(config))
    converted = tmp_path / "converted.safetensors"
    effconvert.convert(folder, converted)
    for file in (folder, converted):
        document = predictions(*pictures(tmp_path / "images"), of=file)
        assert document["names"] == "as the weights' file has them"
        seen = {seen["index"]: seen["name"] for image in document["images"] for seen in image["classes"]}
        assert seen == dict(enumerate(labels))


def test_of_1001_classes_the_first_is_the_background(
    predictions: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    file = written(seeing("edgetpu-s", classes=1001, fused_stride="project"), tmp_path / "edge.safetensors")
    document = predictions(*pictures(tmp_path / "images"), "--top", 1001, of=file)
    assert document["names"] == "ImageNet's, after the background class 0"
    seen = {seen["index"]: (seen["name"], seen["synset"]) for seen in document["images"][0]["classes"]}
    assert seen[0] == ("background", None)
    assert [seen[index + 1] for index in range(1000)] == list(
        zip(imagenet_classes().names, imagenet_classes().identifiers, strict=True)
    )


def test_classes_without_names_are_numbers_and_it_says_so(run: Callable[..., Ran], tmp_path: Path) -> None:
    file = written(seeing(classes=7), tmp_path / "seven.safetensors")
    ran = run("predict", file, *pictures(tmp_path / "images"), "--size", SIZE)
    assert ran.exit_code == 0
    assert "none: the file does not name its 7 classes; give a file of names with --classes" in ran.out
    likeliest = run("predict", file, tmp_path / "images" / "0.jpg", "--size", SIZE, "--top", 1).out.splitlines()[-1]
    assert likeliest.startswith(f"{tmp_path / 'images' / '0.jpg'}: ")
    assert likeliest.rpartition(": ")[2].split()[0] in "0123456"


def test_a_list_of_another_number_of_names_is_4(run: Callable[..., Ran], file: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    ran = run("predict", file, *pictures(tmp_path / "images"), "--classes", tmp_path / "names.txt")
    assert ran.exit_code == 4
    assert f"{tmp_path / 'names.txt'}: names 2 classes, b0 has 1,000" in ran.err


def test_a_file_says_what_a_terminal_may_show(run: Callable[..., Ran], tmp_path: Path) -> None:
    file = written(seeing(classes=2), tmp_path / "two.safetensors")
    (tmp_path / "names.txt").write_text("c\x1b[31mat\nd\x1b[31mog\n")
    ran = run("predict", file, *pictures(tmp_path / "images"), "--size", SIZE, "--classes", tmp_path / "names.txt")
    assert ran.exit_code == 0
    assert "\x1b" not in ran.out
    assert "\\x1b[31mat" in ran.out


def test_all_images_of_a_folder_are_taken_in_order_in_however_many_batches(
    predictions: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_folder = pictures(tmp_path / "folder", 5)
    (tmp_path / "folder" / "notes.txt").write_text("no image")
    one, other = pictures(tmp_path / "files")
    at_once = predictions(other, tmp_path / "folder", one, "--top", 1000)
    monkeypatch.setattr(batches, "_PIXELS_AT_ONCE", 2 * SIZE**2)
    monkeypatch.setattr(batches, "_BYTES_AHEAD", 3 * 12 * SIZE**2)
    in_batches = predictions(other, tmp_path / "folder", one, "--top", 1000)
    assert [image["path"] for image in in_batches["images"]] == [str(path) for path in (other, *in_folder, one)]
    assert np.abs(logits(at_once) - logits(in_batches)).max() < 1e-5 * np.abs(logits(at_once)).max()


def test_every_path_that_does_not_exist_is_named_before_anything_is_read(
    run: Callable[..., Ran], tmp_path: Path
) -> None:
    (tmp_path / "not-weights").write_bytes(b"")
    ran = run("predict", tmp_path / "not-weights", tmp_path / "a.jpg", *pictures(tmp_path / "images"), tmp_path / "b")
    assert ran.exit_code == 2
    assert f"{tmp_path / 'a.jpg'}: no such file or directory" in ran.err
    assert f"{tmp_path / 'b'}: no such file or directory" in ran.err


def test_every_image_that_cannot_be_read_is_named_before_the_network_runs(
    run: Callable[..., Ran], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, other = pictures(tmp_path / "images")
    broken = [tmp_path / "images" / name for name in ("a.jpg", "b.png")]
    for path in broken:
        path.write_bytes(other.read_bytes()[:50])
    monkeypatch.setattr(EfficientNet, "forward", None)
    ran = run("predict", file, good, *broken, other, "--size", SIZE)
    assert (ran.exit_code, ran.out) == (7, "")
    for path in broken:
        assert f"{path}: cannot be read as an image" in ran.err
    assert str(good) not in ran.err


def test_a_broken_image_among_very_many_still_names_all(
    run: Callable[..., Ran], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(tmp_path / "images", 6)
    for path in (images[3], images[5]):
        path.write_bytes(b"\xff\xd8 broken")
    monkeypatch.setattr(batches, "_PIXELS_AT_ONCE", SIZE**2)
    monkeypatch.setattr(batches, "_BYTES_AHEAD", 0)
    ran = run("predict", file, tmp_path / "images", "--size", SIZE)
    assert (ran.exit_code, ran.out) == (7, "")
    assert f"{images[3]}: " in ran.err
    assert f"{images[5]}: " in ran.err


def test_folders_without_an_image_are_7(run: Callable[..., Ran], file: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    ran = run("predict", file, tmp_path / "one", tmp_path / "other")
    assert ran.exit_code == 7
    assert f"{tmp_path / 'one'}: contains no images" in ran.err
    assert f"{tmp_path / 'other'}: contains no images" in ran.err


def test_a_device_is_no_image(run: Callable[..., Ran], file: Path) -> None:
    ran = run("predict", file, "/dev/zero")
    assert ran.exit_code == 7
    assert "/dev/zero: is not a folder" in ran.err


def test_no_image_is_a_usage_error(run: Callable[..., Ran], file: Path) -> None:
    assert run("predict", file).exit_code == 2


def test_a_network_without_a_classifier_is_4_with_the_remedy(
    run: Callable[..., Ran], file: Path, tmp_path: Path
) -> None:
    images = pictures(tmp_path / "images")
    bare = written(seeing(classes=0), tmp_path / "bare.safetensors")
    for arguments in ((bare,), (file, "--backbone")):
        ran = run("predict", *arguments, *images)
        assert ran.exit_code == 4
        assert "has no classifier, so it cannot predict classes; `effconvert features`" in ran.err


def test_a_network_that_gives_nan_is_5(run: Callable[..., Ran], tmp_path: Path) -> None:
    state = seeing(classes=7).state_dict()
    state["head.bn.running_var"][0] = -1.0
    torch.save(state, tmp_path / "bad.pth")
    first, second = pictures(tmp_path / "images")
    ran = run("predict", tmp_path / "bad.pth", first, second, "--size", SIZE)
    assert (ran.exit_code, ran.out) == (5, "")
    assert f"{tmp_path / 'bad.pth'}: the network gives NaN or infinity for {first}, {second}" in ran.err


def test_an_encrypted_file_is_read_with_its_key(
    run: Callable[..., Ran], predictions: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    key = "0123456789abcdef"
    plain = written(seeing(bn_eps=1e-5, padding="symmetric"), tmp_path / "plain.ckpt", to="mindvision")
    secret = encrypted(plain, tmp_path / "secret.ckpt", key.encode())
    images = pictures(tmp_path / "images")
    assert run("predict", secret, *images).exit_code == 3
    found = predictions(*images, "--key", key, of=secret)
    assert found["images"] == predictions(*images, of=plain)["images"]
    assert key not in json.dumps(found)


def test_the_averages_are_asked_unless_the_raw_weights_are_wanted(
    predictions: Callable[..., dict[str, Any]], b0: Path, tmp_path: Path
) -> None:
    images = pictures(tmp_path / "images")
    averages, raw = (predictions(*images, *options, of=b0) for options in ((), ("--raw",)))
    assert (averages["model"]["taken"], raw["model"]["taken"]) == ("averages", "raw")
    assert averages["images"] != raw["images"]


def test_given_facts_are_the_networks(predictions: Callable[..., dict[str, Any]], file: Path, tmp_path: Path) -> None:
    images = pictures(tmp_path / "images")
    plain, given = (predictions(*images, *options) for options in ((), ("--facts", "padding=symmetric")))
    assert given["model"]["facts"]["padding"] == "symmetric"
    assert plain["images"] != given["images"]


def test_what_no_file_says_is_a_caution(run: Callable[..., Ran], network: EfficientNet, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "state.pth")
    ran = run("predict", tmp_path / "state.pth", *pictures(tmp_path / "images"), "--size", SIZE)
    assert ran.exit_code == 0
    assert "the file has no facts; assumed are bn_eps 0.001" in ran.out
    assert (
        "the file does not say its preprocessing: tf-official at 224 px, the usual recipe of canonical, was assumed"
        in ran.out
    )
    named = run("predict", tmp_path / "state.pth", tmp_path / "images", "--size", SIZE, "--recipe", "tf-official")
    assert "does not say its preprocessing" not in named.out


def test_a_gpu_that_is_not_there_is_9(
    run: Callable[..., Ran], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ran = run("predict", file, *pictures(tmp_path / "images"), "--device", "cuda")
    assert ran.exit_code == 9
    assert "--device cuda: " in ran.err


def test_equal_logits_stand_in_the_order_of_the_classes() -> None:
    names = classification.Names("none")
    found = list(classification._likeliest(np.array([1, 3, 3, 2], np.float32), names, 3))
    assert [seen.index for seen in found] == [1, 2, 3]


def test_quiet_prints_nothing_but_errors(run: Callable[..., Ran], file: Path, tmp_path: Path) -> None:
    images = pictures(tmp_path / "images")
    assert run("predict", file, *images, "--size", SIZE, "--quiet") == Ran(0, "", "")
    assert run("predict", file, tmp_path / "none.jpg", "--quiet").exit_code == 2


def test_the_example_of_its_help_works_as_printed(
    run: Callable[..., Ran], file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import sys; from effconvert.cli import main; main(['predict', '--help']); "
        "sys.exit(bool({'torch', 'numpy'} & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    example = next(line for line in ran.stdout.splitlines() if "Example: " in line).split("Example: effconvert ")[1]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.safetensors").write_bytes(file.read_bytes())
    pictures(tmp_path)[0].rename(tmp_path / "cat.jpg")
    shown = run(*example.split())
    assert shown.exit_code == 0
    assert "\ncat.jpg\n" in shown.out
    assert "{" not in shown.out


def test_a_training_that_the_file_does_not_say_decides_the_preprocessing(
    predictions: Callable[..., dict[str, Any]], network: EfficientNet, tmp_path: Path
) -> None:
    torch.save(network.state_dict(), tmp_path / "state.pth")
    document = predictions(pictures(tmp_path / "images")[0], "--weights", "advprop", of=tmp_path / "state.pth")
    assert document["recipe"]["name"] == "tf-official-advprop"
    assert document["model"]["weights"] == "advprop"

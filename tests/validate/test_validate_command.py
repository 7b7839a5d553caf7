"""`effconvert validate` on the command line: its messages, networks that share a pass, and refused inputs."""

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
from effconvert.cli.display import validations
from effconvert.hashing import file_sha256
from effconvert.preprocessing.pipeline import preprocess
from effconvert.validate.accuracy.comparability import remarks
from effconvert.validate.evaluation import passes
from effconvert.validate.evaluation.image_loader import prepared_images
from effconvert.validate.predictions import SCHEMA, read_predictions
from helpers.image_sets import samples, write_class_folders
from helpers.running import Ran
from helpers.validate.asked_files import seeing, written
from helpers.validate.evaluated import CLASSES, SIZE, without_contrast

Validate = Callable[..., Ran]


@pytest.fixture
def validate(run: Callable[..., Ran], zoo: Path, tmp_path: Path) -> Validate:
    """Run the command on the zoo at 64 pixels, without workers, runs in `tmp_path`."""

    def command(*arguments: Any, data: Path = zoo) -> Ran:
        return run(
            "validate", "--data", data, "--size", SIZE, "--workers", 0, "--runs", tmp_path / "runs", *arguments
        )  # fmt: skip

    return command


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Return a list that the recipe and the number of images of each pass are written to."""
    seen: list[tuple[str, int]] = []
    prepare = prepared_images

    def counting(locations: Any, ids: Any, recipe: Any, **options: Any) -> Any:
        seen.append((recipe.resize, len(ids)))
        return prepare(locations, ids, recipe, **options)

    monkeypatch.setattr(passes, "prepared_images", counting)
    return seen


def other(path: Path, seed: int = 9) -> Path:
    """Write another network of six classes, and return its file."""
    return written(seeing("lite0", seed=seed, classes=len(CLASSES)), path)


def test_it_says_what_came_of_it(validate: Validate, zoo: Path, zoo_network: Path, tmp_path: Path) -> None:
    ran = validate(zoo_network)
    assert (ran.exit_code, ran.err) == (0, "")
    found = read_predictions(tmp_path / "runs" / "zoo-net.npz")
    hits, hits5 = int(found.hits(1).sum()), int(found.hits(5).sum())
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert f"data {zoo}: a folder per class" in lines
    assert any(line.startswith(f"top-1 {100 * hits / 30:.0f} % ({hits} of 30; 95 %: ") for line in lines)
    assert any(line.startswith(f"top-5 {100 * hits5 / 30:.0f} % ({hits5} of 30; 95 %: ") for line in lines)
    assert f"kept in {tmp_path / 'runs' / 'zoo-net.npz'}" in lines
    assert lines[-1] == "not judged: the images are not ImageNet's validation set"


def test_json_is_the_document(validate: Validate, zoo_network: Path, tmp_path: Path) -> None:
    ran = validate(zoo_network, "--json")
    assert (ran.exit_code, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert document["schema"] == "effconvert/validations/1"
    (result,) = document["results"]
    out = tmp_path / "runs" / "zoo-net.npz"
    assert result["out"] == str(out)
    assert result["record"] == read_predictions(out).record
    assert result["verdict"]["verdict"] == "not judged"
    assert result["cost"]


def test_the_run_file_says_what_was_computed_and_how(validate: Validate, zoo_network: Path, tmp_path: Path) -> None:
    validate(zoo_network, "--batch-size", 4)
    record = read_predictions(tmp_path / "runs" / "zoo-net.npz").record
    assert (record["schema"], record["complete"]) == (SCHEMA, True)
    assert record["model"]["sha256"] == {zoo_network.name: file_sha256(zoo_network)}
    assert record["model"]["classes"] == len(CLASSES)
    assert record["dataset"]["class_names"] == list(CLASSES)
    assert (record["dataset"]["images"], record["dataset"]["evaluated"], record["dataset"]["skipped"]) == (30, 30, {})
    computing = record["computing"]
    assert (computing["device"], computing["dtype"], computing["pipeline"]) == ("cpu", "float32", "exact")
    assert (computing["execution"], computing["at_once"]) == ("eager", 4)
    assert computing["versions"]["torch"] == torch.__version__
    assert record["run"]["ranks"] == 1


def test_quiet_prints_nothing(validate: Validate, zoo_network: Path) -> None:
    ran = validate(zoo_network, "--quiet")
    assert (ran.exit_code, ran.out, ran.err) == (0, "", "")


def test_in_a_log_progress_is_a_line_now_and_then(
    validate: Validate, zoo_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validations, "_SECONDS_BETWEEN_LINES", 0)
    lines = validate(zoo_network).err.splitlines()
    assert lines[0].startswith("16 of 30 images")
    assert lines[-1].startswith("30 of 30 images, ")
    assert lines[-1].endswith(" images/s, 0 min left")


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_answers_do_not_depend_on_batches_nor_workers(
    validate: Validate, zoo_network: Path, tmp_path: Path, batch: int
) -> None:
    out = tmp_path / "runs" / "zoo-net.npz"
    validate(zoo_network)
    usual = read_predictions(out)
    assert validate(zoo_network, "--batch-size", batch, "--workers", 2 if batch == 7 else 0).exit_code == 0
    found = read_predictions(out)
    assert np.array_equal(found.top5, usual.top5)
    assert np.array_equal(found.ids, np.arange(30))
    np.testing.assert_allclose(found.margin, usual.margin, rtol=1e-4, atol=1e-5)


def test_the_answers_are_the_networks_own(validate: Validate, zoo: Path, zoo_network: Path, tmp_path: Path) -> None:
    validate(zoo_network)
    found = read_predictions(tmp_path / "runs" / "zoo-net.npz")
    network = effconvert.load_model(zoo_network)
    assert network.recipe
    files = [zoo / CLASSES[int(label)] / str(name) for name, label in zip(found.names, found.labels[:, 0], strict=True)]
    images = torch.from_numpy(np.stack([preprocess(file, network.recipe.at(SIZE)) for file in files]))
    with torch.no_grad():
        logits = network(images)
    assert np.array_equal(found.top5, logits.argsort(1, descending=True)[:, :5].numpy())
    own = logits.gather(1, torch.from_numpy(found.labels).long())[:, 0]
    np.testing.assert_allclose(found.label_logit, own.numpy(), rtol=0, atol=2e-5 * float(logits.abs().max()))
    assert len({tuple(row) for row in found.top5.tolist()}) > 1


def test_networks_that_want_the_same_pixels_share_a_pass(
    validate: Validate, zoo_network: Path, prepared: list[tuple[str, int]], tmp_path: Path
) -> None:
    ran = validate(zoo_network, other(tmp_path / "second.safetensors"), "--json")
    assert ran.exit_code == 0
    assert prepared == [("tf1-bilinear", 30)]
    assert [Path(result["out"]).name for result in json.loads(ran.out)["results"]] == ["zoo-net.npz", "second.npz"]


def test_networks_that_want_other_pixels_do_not(
    validate: Validate, zoo_network: Path, prepared: list[tuple[str, int]], tmp_path: Path
) -> None:
    b0 = written(seeing("b0", classes=len(CLASSES)), tmp_path / "b0.safetensors")
    ran = validate(zoo_network, b0, other(tmp_path / "second.safetensors"), "--json")
    assert sorted(prepared) == [("tf1-bicubic", 30), ("tf1-bilinear", 30)]
    names = [Path(result["out"]).name for result in json.loads(ran.out)["results"]]
    assert names == ["zoo-net.npz", "b0.npz", "second.npz"]


def test_sharing_a_pass_changes_no_answer(validate: Validate, zoo_network: Path, tmp_path: Path) -> None:
    second = other(tmp_path / "second.safetensors")
    validate(zoo_network, second)
    together = read_predictions(tmp_path / "runs" / "second.npz")
    validate(second)
    alone = read_predictions(tmp_path / "runs" / "second.npz")
    for name in ("ids", "top5", "label_logit", "margin", "confidence"):
        assert np.array_equal(getattr(together, name), getattr(alone, name)), name
    first = read_predictions(tmp_path / "runs" / "zoo-net.npz")
    assert not np.array_equal(first.top5, alone.top5)


def test_files_of_one_name_get_runs_of_their_own(validate: Validate, tmp_path: Path) -> None:
    files = [tmp_path / folder / "net.safetensors" for folder in ("a", "b")]
    for seed, file in enumerate(files):
        file.parent.mkdir()
        other(file, seed)
    outs = [Path(result["out"]) for result in json.loads(validate(*files, "--json").out)["results"]]
    assert [out.name[-9:] for out in outs] == ["a-net.npz", "b-net.npz"]


def test_one_file_twice_is_refused(validate: Validate, zoo_network: Path) -> None:
    ran = validate(zoo_network, zoo_network)
    assert ran.exit_code == 8
    assert "two files would have a run of the same name" in ran.err


def test_without_a_file_everything_here_that_effconvert_made_is_measured(
    validate: Validate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for name in ("one", "two"):
        other(here / f"{name}.safetensors")
    torch.save({"stem": torch.zeros(1)}, here / "other.pth")
    (here / "text.safetensors").write_text("no checkpoint")
    monkeypatch.chdir(here)
    ran = validate("--json")
    assert [Path(result["out"]).name for result in json.loads(ran.out)["results"]] == ["one.npz", "two.npz"]


def test_with_nothing_to_measure_it_is_2(validate: Validate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = validate()
    assert ran.exit_code == 2
    assert "give FILE or --variant" in ran.err


def test_variant_takes_the_file_that_was_converted_before(
    validate: Validate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other(tmp_path / "lite0.safetensors")
    ran = validate("--variant", "lite0")
    assert ran.exit_code == 4
    assert "lite0.safetensors: exists, but was not converted from https://" in ran.err


def test_data_that_are_not_there_are_2(validate: Validate, zoo_network: Path, tmp_path: Path) -> None:
    ran = validate(zoo_network, data=tmp_path / "no-data")
    assert ran.exit_code == 2
    assert f"{tmp_path / 'no-data'}: no such file or directory" in ran.err


def test_data_without_an_image_are_7(validate: Validate, zoo_network: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert validate(zoo_network, data=tmp_path / "empty").exit_code == 7


def test_a_file_that_is_no_checkpoint_is_3(validate: Validate, tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_text("no checkpoint")
    assert validate(tmp_path / "net.safetensors").exit_code == 3


def test_a_network_of_other_classes_is_4_with_the_remedy(validate: Validate, tmp_path: Path) -> None:
    ran = validate(written(seeing("lite0", classes=10), tmp_path / "ten.safetensors"))
    assert ran.exit_code == 4
    assert "ten.safetensors: the network has 10 classes, the data set has 6" in ran.err
    assert "give a file of the network's classes with --classes" in ran.err
    assert not list((tmp_path / "runs").iterdir())


def test_a_network_without_a_classifier_is_4(validate: Validate, tmp_path: Path) -> None:
    ran = validate(written(seeing("lite0", classes=0), tmp_path / "backbone.safetensors"))
    assert ran.exit_code == 4
    assert "backbone.safetensors: has no classifier, so there is no accuracy to measure" in ran.err


def test_a_network_that_gives_nan_is_5_and_names_the_images(validate: Validate, tmp_path: Path) -> None:
    network = seeing("lite0", classes=len(CLASSES))
    assert network.head is not None
    assert network.head.fc is not None
    network.head.fc.weight.data.fill_(3e38)
    ran = validate(written(network, tmp_path / "nan.safetensors"))
    assert ran.exit_code == 5
    assert "the network gives NaN or infinity" in ran.err
    assert "000.jpg" in ran.err


def test_a_folder_of_runs_that_cannot_be_made_is_8(validate: Validate, zoo_network: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    ran = validate(zoo_network)
    assert ran.exit_code == 8
    assert "choose a folder with --runs" in ran.err


def test_other_settings_make_a_run_of_their_own(validate: Validate, zoo_network: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    validate(zoo_network)
    before = (runs / "zoo-net.npz").read_bytes()
    assert validate(zoo_network, "--limit", 5).exit_code == 0
    assert (runs / "zoo-net.npz").read_bytes() == before
    assert len(read_predictions(runs / "zoo-net-2.npz")) == 5


def test_a_finished_run_is_taken_by_resume_without_an_image(
    validate: Validate, zoo_network: Path, prepared: list[tuple[str, int]], tmp_path: Path
) -> None:
    validate(zoo_network)
    before = (tmp_path / "runs" / "zoo-net.npz").read_bytes()
    ran = validate(zoo_network, "--resume")
    assert ran.exit_code == 0
    assert len(prepared) == 1
    assert "top-1" in ran.out
    assert (tmp_path / "runs" / "zoo-net.npz").read_bytes() == before


def test_a_network_that_is_added_is_the_only_one_that_is_computed(
    validate: Validate, zoo_network: Path, prepared: list[tuple[str, int]], tmp_path: Path
) -> None:
    validate(zoo_network)
    before = (tmp_path / "runs" / "zoo-net.npz").read_bytes()
    ran = validate(zoo_network, other(tmp_path / "second.safetensors"), "--resume", "--json")
    assert len(json.loads(ran.out)["results"]) == 2
    assert prepared == [("tf1-bilinear", 30)] * 2
    assert (tmp_path / "runs" / "zoo-net.npz").read_bytes() == before


def test_only_classes_that_are_there_compete_where_asked(run: Callable[..., Ran], tmp_path: Path) -> None:
    file = written(without_contrast(seeing("lite0"), 64), tmp_path / "net.safetensors")
    data = write_class_folders(tmp_path / "data", samples((1, 65, 151), 1))
    common = ["validate", file, "--data", data, "--partial", "--size", SIZE, "--workers", 0, "--runs", tmp_path]
    run(*common, "--quiet")
    run(*common, "--quiet", "--only-present")
    assert read_predictions(tmp_path / "net.npz").top5[0].tolist() == [64, 65, 66, 67, 68]
    found = read_predictions(tmp_path / "net-2.npz")
    assert found.top5[0].tolist() == [65, 151, 1, -3, -3]
    assert "only the 3 classes that occur in the data could be predicted (only_present=True)" in remarks(found.record)


@pytest.mark.parametrize(("option", "value"), [("--dtype", "int8"), ("--limit", 0), ("--device", "tpu"), ("--size", 8)])
def test_values_that_make_no_sense_are_2(validate: Validate, zoo_network: Path, option: str, value: object) -> None:
    assert validate(zoo_network, option, value).exit_code == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_9(validate: Validate, zoo_network: Path) -> None:
    ran = validate(zoo_network, "--device", "cuda")
    assert ran.exit_code == 9
    assert "omit it to use the CPU" in ran.err


def test_what_is_wrong_with_the_data_is_found_without_torch(zoo_network: Path, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from effconvert.cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "except SystemExit as error:\n"
        "    sys.exit(100 if 'torch' in sys.modules else error.code)\n"
    )
    given = ["validate", "--data", str(tmp_path / "no-data"), "--runs", str(tmp_path / "runs"), str(zoo_network)]
    assert subprocess.run([sys.executable, "-c", code, *given], capture_output=True).returncode == 2

"""Engines other than torch: the same predictions, never unchecked, never silently another."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch

import effconvert.validate
from effconvert.cli.commands import predict
from effconvert.cli.commands import validate as validate_command
from effconvert.errors import UnknownName
from effconvert.preprocessing.recipes import recipe_named
from effconvert.validate.engines import choice, runtimes
from effconvert.validate.engines.names import ENGINES, OTHERS
from effconvert.validate.evaluation.engine_execution import normalised
from effconvert.validate.evaluation.journal import ANSWER, begin_journal
from effconvert.validate.evaluation.run_file import journal_path
from effconvert.validate.predictions import Predictions, read_predictions
from helpers.running import Ran
from helpers.validate.evaluated import SIZE

Validate = Callable[..., Ran]


@pytest.fixture
def validate(run: Callable[..., Ran], zoo: Path, zoo_network: Path, tmp_path: Path) -> Validate:
    """Validate the small network on the zoo, runs in `tmp_path`."""

    def command(*arguments: Any) -> Ran:
        given = ("validate", zoo_network, "--data", zoo, "--size", SIZE, "--workers", 0, "--runs", tmp_path)
        return run(*given, *arguments)

    return command


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the zoo's few images be enough to choose an engine."""
    monkeypatch.setattr(choice, "FEWEST_IMAGES", 1)


def break_engine(monkeypatch: pytest.MonkeyPatch, name: str, noise: float) -> None:
    """Let the engine add `noise`, in shares of the largest logit, to the first logit of every image."""
    load = runtimes._LOADERS[name]

    def loaded(model: bytes, threads: int, at_once: int) -> runtimes.Run:
        run = load(model, threads, at_once)

        def noisy(images: runtimes.Values) -> runtimes.Values:
            logits = run(images)
            logits[:, 0] += noise * np.abs(logits).max()
            return logits

        return noisy

    monkeypatch.setitem(runtimes._LOADERS, name, loaded)


def made(folder: Path, name: str = "zoo-net") -> Predictions:
    return read_predictions(folder / f"{name}.npz")


@pytest.mark.parametrize("name", OTHERS)
def test_an_engine_gives_torchs_predictions(validate: Validate, tmp_path: Path, name: str) -> None:
    assert validate("--engine", name).exit_code == 0
    found = made(tmp_path)
    assert validate("--engine", "torch", "--runs", tmp_path / "torch").exit_code == 0
    expected = made(tmp_path / "torch")
    assert np.array_equal(found.top5, expected.top5)
    assert np.allclose(found.margin, expected.margin, rtol=0, atol=2e-5 * np.abs(expected.label_logit).max())
    assert not np.array_equal(found.margin, expected.margin)  # otherwise torch computed both


@pytest.mark.parametrize("name", OTHERS)
def test_the_engine_and_its_check_are_recorded_and_shown(validate: Validate, tmp_path: Path, name: str) -> None:
    ran = validate("--engine", name, "--batch-size", 1)
    record = made(tmp_path).record["computing"]
    version = runtimes.installed(name)
    assert (record["engine"]["name"], record["engine"]["version"]) == (name, version)
    assert record["versions"][name] == version
    assert (record["execution"], record["at_once"]) == (f"{name} {version}", 1)
    check = record["engine"]["check"]
    assert 0 < check["difference"] <= check["tolerance"] == 2e-5
    assert check["images"] == 30  # all of them fit into the first batch
    assert f"differ from torch's by {check['difference']:.1e} of the largest (allowed: 2e-05)" in ran.out


def test_auto_takes_the_fastest_that_agrees(
    validate: Validate, many: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(choice, "_seconds", lambda compute, left=[3.0, 2.0, 1.0]: left.pop(0))
    assert validate().exit_code == 0
    engine = made(tmp_path).record["computing"]["engine"]
    assert engine["name"] == "openvino"
    assert set(engine["images_per_second"]) == {"torch", "onnxruntime", "openvino"}


def test_auto_does_not_take_an_engine_that_differs(
    validate: Validate, many: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in OTHERS:
        break_engine(monkeypatch, name, 1e-3)
    ran = validate()
    assert ran.exit_code == 0
    engine = made(tmp_path).record["computing"]["engine"]
    assert engine["name"] == "torch"
    assert set(engine["refused"]) == set(OTHERS)
    for words in engine["refused"].values():
        assert "differ from torch's by 0.001 of the largest (allowed: 2e-05)" in words
    assert ran.out.count("not taken: ") == 2


def test_a_named_engine_that_differs_is_refused_with_the_figures(
    validate: Validate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    break_engine(monkeypatch, "onnxruntime", 1e-4)
    ran = validate("--engine", "onnxruntime")
    assert ran.exit_code == 5
    assert "--engine onnxruntime: onnxruntime " in ran.err
    assert "differ from torch's by 0.0001 of the largest (allowed: 2e-05)" in ran.err
    assert not list(tmp_path.glob("*.npz*"))


def test_a_named_engine_that_gives_nan_is_refused(validate: Validate, monkeypatch: pytest.MonkeyPatch) -> None:
    break_engine(monkeypatch, "openvino", float("nan"))
    assert validate("--engine", "openvino").exit_code == 5


@pytest.mark.parametrize("name", OTHERS)
def test_an_engine_that_is_not_installed_names_its_extra(
    validate: Validate, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(runtimes, "installed", lambda engine: None)
    ran = validate("--engine", name)
    assert ran.exit_code == 9
    assert f"{name} is not installed: pip install 'effconvert[{name}]'" in ran.err


def test_an_engine_that_fails_is_not_taken(
    validate: Validate, many: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def failing(model: bytes, threads: int, at_once: int) -> runtimes.Run:
        raise RuntimeError("no such operator\nand more")

    for name in OTHERS:
        monkeypatch.setitem(runtimes._LOADERS, name, failing)
    assert validate().exit_code == 0
    refused = made(tmp_path).record["computing"]["engine"]["refused"]
    assert all(words.endswith("cannot run this network: RuntimeError: no such operator") for words in refused.values())
    ran = validate("--engine", "openvino", "--force")
    assert ran.exit_code == 9
    assert "RuntimeError: no such operator" in ran.err


def test_a_model_that_is_too_large_for_memory_is_not_built(
    validate: Validate, many: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(runtimes, "_MOST_BYTES", 1000)
    assert validate().exit_code == 0
    engine = made(tmp_path).record["computing"]["engine"]
    assert engine["name"] == "torch"
    assert all("an ONNX model in memory holds 1,000" in words for words in engine["refused"].values())


def test_few_images_are_torchs(validate: Validate, tmp_path: Path) -> None:
    ran = validate()
    engine = made(tmp_path).record["computing"]["engine"]
    assert (engine["name"], engine["reason"]) == ("torch", "for fewer than 1,000 images no other engine is tried")
    assert "engine" not in ran.out


def test_only_torch_computes_other_dtypes_and_compiled(validate: Validate) -> None:
    ran = validate("--engine", "onnxruntime", "--dtype", "bfloat16")
    assert ran.exit_code == 9
    assert "computes in float32 on the CPU, and not with dtype bfloat16" in ran.err


def begun(validate: Validate, folder: Path, engine: str) -> Path:
    """Leave a run that was begun with `engine` and has one answer."""
    assert validate("--engine", engine, "--limit", 1).exit_code == 0
    one = made(folder)
    (folder / "zoo-net.npz").unlink()
    assert validate("--engine", engine).exit_code == 0
    out, whole = folder / "zoo-net.npz", made(folder)
    answers = np.zeros(1, ANSWER)
    assert whole.hashes is not None
    answers["id"], answers["hash"] = one.ids, whole.hashes[whole.ids.tolist().index(one.ids[0])]
    answers["top5"], answers["label_logit"] = 5, 123
    out.unlink()
    begin_journal(journal_path(out, 0), whole.record["settings"], answers)
    return out


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_a_run_is_continued_with_its_own_engine(validate: Validate, many: None, tmp_path: Path, name: str) -> None:
    begun(validate, tmp_path, name)
    assert validate("--resume").exit_code == 0
    found = made(tmp_path)
    assert found.record["computing"]["engine"]["name"] == name
    assert list(found.label_logit).count(123) == 1  # the earlier answer was taken


def test_another_engine_begins_another_run_and_is_told(validate: Validate, tmp_path: Path) -> None:
    out = begun(validate, tmp_path, "torch")
    ran = validate("--resume", "--engine", "onnxruntime")
    assert ran.exit_code == 0
    words = " ".join(ran.out.split())
    assert "is another run: other engine (torch, not onnxruntime; --engine torch takes it)" in words
    assert made(tmp_path, "zoo-net-2").record["computing"]["engine"]["name"] == "onnxruntime"
    assert journal_path(out, 0).exists()


def test_a_run_of_an_engine_that_is_gone_is_not_continued_by_another(
    validate: Validate, many: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = begun(validate, tmp_path, "openvino")
    monkeypatch.setattr(runtimes, "installed", lambda engine: None)
    ran = validate("--resume")
    assert ran.exit_code == 9
    assert "--engine openvino: openvino is not installed: pip install 'effconvert[openvino]'" in ran.err
    assert journal_path(out, 0).exists()


def test_a_run_from_before_there_were_engines_is_torchs(validate: Validate, tmp_path: Path) -> None:
    out = begun(validate, tmp_path, "torch")
    journal = journal_path(out, 0)
    line, answers = journal.read_bytes().split(b"\n", 1)
    header = {key: value for key, value in json.loads(line).items() if key != "engine"}
    journal.write_bytes(json.dumps(header).encode() + b"\n" + answers)
    assert validate("--resume").exit_code == 0
    assert list(made(tmp_path).label_logit).count(123) == 1


@pytest.mark.parametrize("name", OTHERS)
def test_predict_gives_torchs_classes(run: Callable[..., Ran], zoo: Path, zoo_network: Path, name: str) -> None:
    image = sorted(zoo.rglob("*.*"))[0]
    found, expected = (
        json.loads(run("predict", zoo_network, image, "--engine", engine, "--json").out) for engine in (name, "torch")
    )
    assert found["computing"]["engine"]["check"]["images"] == 1
    one, other = found["images"][0]["classes"], expected["images"][0]["classes"]
    assert [seen["index"] for seen in one] == [seen["index"] for seen in other]
    largest = max(abs(seen["logit"]) for seen in other)
    assert [seen["logit"] for seen in one] == pytest.approx([seen["logit"] for seen in other], abs=2e-5 * largest)


def test_the_engine_is_in_the_reports_provenance(run: Callable[..., Ran], validate: Validate, tmp_path: Path) -> None:
    validate("--engine", "onnxruntime")
    assert run("report", tmp_path / "zoo-net.npz", "--out", tmp_path / "report").exit_code == 0
    difference = made(tmp_path).record["computing"]["engine"]["check"]["difference"]
    page = (tmp_path / "report" / "report.md").read_text()
    assert f"onnxruntime {runtimes.installed('onnxruntime')}: the logits of 30 images differ from torch's by" in page
    assert f"{difference:.1e}".replace("e-0", "e-") in page


@pytest.mark.parametrize("channels", ["rgb", "bgr", "gray"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_an_image_is_normalised_with_torchs_bits(channels: str, dtype: type) -> None:
    count = 1 if channels == "gray" else 3
    mean, std = (123.675, 116.28, 103.53)[:count], (58.395, 57.12, 57.375)[:count]
    recipe = dataclasses.replace(recipe_named("timm", "b0", 3), channels=channels, mean=mean, std=std)
    pixels: np.ndarray = (np.random.default_rng(0).random((8, 8, 3)) * 255).astype(dtype)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)
    planes = planes.flip(0) if channels == "bgr" else planes[:count]
    expected = planes.float().sub(torch.tensor(mean)[:, None, None]).div(torch.tensor(std)[:, None, None])
    assert np.array_equal(normalised(pixels, recipe), expected.numpy())


def test_more_threads_than_images_share_one_image(zoo_network: Path) -> None:
    from effconvert.options import Options
    from effconvert.validate.subjects import load_subject

    network = load_subject(zoo_network, Options(), None, None, None).network()
    images = np.random.default_rng(0).standard_normal((3, 3, 64, 64)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(images)).numpy()
    for name in OTHERS:
        engine = runtimes.load_engine(name, network, 64, threads=4, at_once=2)
        assert engine.at_once == 2
        assert np.abs(engine.logits(3, images.__getitem__) - expected).max() <= 2e-5 * np.abs(expected).max()


def test_an_engine_that_does_not_exist_is_a_usage_error(zoo: Path, zoo_network: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="onnx: is not an engine"):
        effconvert.validate.measure_accuracy(zoo_network, zoo, size=SIZE, workers=0, engine="onnx", runs=tmp_path)


@pytest.mark.parametrize("command", [predict.command, validate_command.command])
def test_the_commands_offer_every_engine(command: click.Command) -> None:
    (option,) = (one for one in command.params if one.name == "engine")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == ENGINES

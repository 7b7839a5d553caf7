"""`verify` of an ONNX file: run by onnxruntime, compared with its weights layer by layer, and its fault named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import effconvert
from effconvert.deployed.files import inspect_deployed
from effconvert.deployed.needs import Normalization
from effconvert.errors import LayoutMismatch
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from effconvert.verification.deployed_answers import Answers
from effconvert.verification.deployed_inputs import disagreement
from helpers.formats.building import make_safetensors
from helpers.places import GOLDEN
from helpers.running import Ran

SIZE = 64


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated Lite0."""
    folder = tmp_path_factory.mktemp("lite0")
    network = calibrate(random_weights(effconvert.create_model("lite0", classes=10)), synthetic_images(8, SIZE, SIZE))
    made = make_safetensors(folder / "made.safetensors", {k: v.numpy() for k, v in network.state_dict().items()})
    facts = {"bn_eps": 1e-3, "padding": "tf-same"}
    effconvert.convert(made, folder / "lite0.safetensors", weights="base", facts=facts)
    return folder / "lite0.safetensors"


def graph(weights: Path, name: str, **options: Any) -> Path:
    """The weights as an ONNX file."""
    effconvert.convert(weights, weights.with_name(name), to="onnx", **{"size": SIZE, **options})
    return weights.with_name(name)


@pytest.fixture(scope="module")
def plain(weights: Path) -> Path:
    return graph(weights, "plain.onnx")


@pytest.fixture(scope="module")
def found(plain: Path, weights: Path) -> effconvert.DeployedVerification:
    return effconvert.verify_deployed(plain, weights)


def test_every_layer_is_compared_end_to_end_and_isolated(found: effconvert.DeployedVerification) -> None:
    assert found.same, found.line
    rows = found.verdict.pairs[0].comparison.rows
    layers = ["stem", *(f"blocks.{number}" for number in range(16)), "head", "pooled", "logits"]
    assert [row.layer for row in rows if row.mode == "accumulated"] == layers
    assert [row.layer for row in rows if row.mode == "fed"] == layers
    assert max(row.relative for row in rows) < 2e-5
    assert found.verdict.sensitivity > 0.1


@pytest.mark.deep
@pytest.mark.parametrize("options", [{"fold": True}, {"free_size": True, "size": None}, {"batch": 1}])
def test_it_is_the_same_network_however_it_was_written(options: dict[str, Any], weights: Path) -> None:
    path = graph(weights, f"{next(iter(options))}.onnx", **options)
    assert effconvert.verify_deployed(path, weights, images=effconvert.Images(size=SIZE)).same


def test_normalisation_and_softmax_inside_are_taken_into_account(weights: Path) -> None:
    path = graph(weights, "whole.onnx", with_normalisation=True, with_softmax=True)
    found = effconvert.verify_deployed(path, weights)
    assert found.same, found.line
    assert (found.way.range, found.file.needs.ends) == ("0-255", "softmax")


def test_the_output_that_a_classifier_gives_is_the_answer_whatever_stands_before_it(
    plain: Path, weights: Path, tmp_path: Path
) -> None:
    model = onnx.load(str(plain))
    model.graph.output.insert(0, onnx.helper.make_tensor_value_info("pooled", 1, ["N", 1280]))
    onnx.save(model, str(tmp_path / "two.onnx"))
    assert effconvert.inspect(tmp_path / "two.onnx").graph.needs.output == "logits"
    assert effconvert.verify_deployed(tmp_path / "two.onnx", weights).same


@pytest.mark.parametrize(
    ("images", "photographs", "agree", "word"),
    [
        (2, False, 2, "not verifiable"),
        (2, True, 2, "not verifiable"),
        (20, False, 20, "not verifiable"),
        (8, True, 8, "same answers"),
        (2, False, 1, "other answers"),
        (20, True, 19, "other answers"),
    ],
)
def test_few_answers_of_a_quantised_file_prove_nothing(images: int, photographs: bool, agree: int, word: str) -> None:
    found = Answers(images, photographs, agree, (), 0.1, 0.99, {})
    assert found.word == word


def test_images_that_tell_nothing_prove_no_answers(found: effconvert.DeployedVerification) -> None:
    answers = Answers(20, True, 20, (), 0.1, 0.99, {})
    assert replace(found, answers=answers).same
    told = replace(found, answers=answers, verdict=replace(found.verdict, word="not verifiable"))
    assert (told.word, told.same) == ("not verifiable", False)


@pytest.mark.parametrize(("mean", "std"), [(127.5, 127.5), (127.0, 128.0), (127.5, 128.0)])
def test_normalisations_that_are_nearly_alike_are_told_apart(
    mean: float, std: float, plain: Path, weights: Path
) -> None:
    file = replace(inspect_deployed(plain), needs=replace(inspect_deployed(plain).needs, normalization=each(mean, std)))
    recipe = effconvert.load_model(weights).recipe
    assert recipe is not None
    for other in ((127.5, 127.5), (127.0, 128.0), (127.5, 128.0)):
        wanted = replace(recipe, mean=(other[0],) * 3, std=(other[1],) * 3)
        assert bool(disagreement(file, wanted)) == (other != (mean, std))


def each(mean: float, std: float) -> Normalization:
    return Normalization((mean,), (std,))


def test_another_epsilon_is_found_and_the_fix_says_which_side_to_change(weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    tensors = effconvert.load_model(weights).state_dict()
    made = make_safetensors(tmp_path / "made.safetensors", {k: v.numpy() for k, v in tensors.items()})
    effconvert.convert(made, other, weights="base", facts={"bn_eps": 1e-5, "padding": "tf-same"})
    found = effconvert.verify_deployed(graph(other, "other.onnx"), weights, explain=True)
    assert not found.same
    best = found.trials[0]
    assert best.vanishes
    assert best.change.startswith("the file has bn_eps 1e-05, the weights want 0.001: export it again")


@pytest.mark.deep
def test_a_kernel_of_its_own_is_named_by_its_block(weights: Path, tmp_path: Path) -> None:
    tensors = {name: tensor.numpy() for name, tensor in effconvert.load_model(weights).state_dict().items()}
    tensors["blocks.5.expand.conv.weight"][:8] *= 1.01
    made = make_safetensors(tmp_path / "made.safetensors", tensors)
    facts = {"bn_eps": 1e-3, "padding": "tf-same"}
    effconvert.convert(made, tmp_path / "other.safetensors", weights="base", facts=facts)
    found = effconvert.verify_deployed(graph(tmp_path / "other.safetensors", "kernel.onnx"), weights)
    assert found.verdict.first_layer == "blocks.5"


def test_files_of_another_network_are_refused_with_every_reason(weights: Path) -> None:
    with pytest.raises(LayoutMismatch, match=r"it takes images with 3 channels, not 1.*|it has 10 classes"):
        effconvert.verify_deployed(GOLDEN / "deployed" / "onnx" / "torchscript.onnx", one_channel(weights))


def one_channel(weights: Path) -> Path:
    """A Lite0 that takes gray images."""
    network = random_weights(effconvert.create_model("lite0", classes=7, in_channels=1))
    tensors = {name: np.asarray(tensor) for name, tensor in network.state_dict().items()}
    return make_safetensors(weights.with_name("gray.safetensors"), tensors)


def test_the_command_begins_with_the_verdict_and_says_what_the_file_takes(
    plain: Path, weights: Path, run: Callable[..., Ran]
) -> None:
    ran = run("verify", plain, "--against", weights)
    assert ran.exit_code == 0
    assert ran.out.startswith("✓ SAME NETWORK: worst layer ")
    for words in (
        "lite0, by its convolutions",
        "[N, 3, 64, 64], NCHW",
        "normalised images",
        "run by onnx (onnxruntime",
    ):
        assert words in ran.out


def test_the_document_has_the_file_the_verdict_and_every_layer(found: effconvert.DeployedVerification) -> None:
    document = json.loads(json.dumps(found.to_dict()))
    assert (document["schema"], document["verdict"]) == ("effconvert/deployed-verification/1", "same")
    assert document["file"]["variants"] == ["lite0"]
    assert document["given"] == {"range": "normalised", "bgr": False}
    assert len(document["comparisons"][0]["rows"]) == 40
    assert len(found.to_rows()) == 40


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--keep", "runs"], "--keep: not for ONNX and TFLite files"),
        (["--canonical-only", "--no-float64"], "--no-float64 and --canonical-only: not for ONNX and TFLite files"),
    ],
)
def test_options_that_mean_nothing_for_a_file_are_refused(
    arguments: list[str], words: str, plain: Path, weights: Path, run: Callable[..., Ran]
) -> None:
    ran = run("verify", plain, "--against", weights, *arguments)
    assert ran.exit_code == 2
    assert words in ran.err


def test_how_a_file_takes_images_is_not_asked_of_weights(weights: Path, run: Callable[..., Ran]) -> None:
    ran = run("verify", weights, "--against", weights, "--input-range", "0-1")
    assert ran.exit_code == 2
    assert "--input-range: not for weights" in ran.err


def test_what_the_user_says_of_the_input_is_believed(plain: Path, weights: Path) -> None:
    found = effconvert.verify_deployed(plain, weights, input_range="0-255", explain=True)
    assert not found.same
    assert found.trials[0].change == 'input_range="normalised"'


def test_a_command_that_runs_only_its_weights_says_so(plain: Path, run: Callable[..., Ran], tmp_path: Path) -> None:
    ran = run("run", plain, "--out", tmp_path / "run.npz")
    assert ran.exit_code == 0
    assert "run in effconvert's own network, not its graph" in " ".join((ran.out + ran.err).split())


def test_a_missing_runtime_is_named_with_what_installs_it(
    plain: Path, weights: Path, run: Callable[..., Ran], tmp_path: Path
) -> None:
    from helpers.verification.fake_pythons import with_numpy_alone

    ran = run("verify", plain, "--against", weights, "--python", f"onnx={with_numpy_alone(tmp_path / 'bare')}")
    assert ran.exit_code == 9
    assert "pip install" in ran.err
    assert "onnxruntime" in ran.err

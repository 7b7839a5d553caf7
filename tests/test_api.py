"""The functions of Python that have the options of a command: what they pass on, and what they refuse."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import effconvert
from effconvert import api
from effconvert.errors import LayoutMismatch, MissingPath, UnknownName
from effconvert.model.calibration import random_weights
from effconvert.options import Options, patterns
from effconvert.preprocessing.recipes import recipe_named
from effconvert.verification.launching import ANY
from helpers.library_files import library_tensors, save
from helpers.running import Ran

READING: dict[str, Any] = {
    "variant": "b0",
    "raw": True,
    "root": "ema.",
    "backbone": True,
    "classifier": "fc",
    "leave": ["aux.*"],
    "facts": {"bn_eps": 1e-5},
}


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The arguments that `effconvert.verify` passes on."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(api, "run_verification", lambda converted, source, **options: found.update(options))
    return found


def test_every_option_of_verify_arrives(passed: dict[str, Any]) -> None:
    effconvert.verify("a", "b", explain=True, float64=False, tolerance=1e-4, keep="runs", key=b"k", **READING)
    assert passed["reading"] == Options(**READING | {"leave": ("aux.*",)})
    names = ("causes", "in_float64", "tolerance", "keep", "key")
    assert tuple(passed[name] for name in names) == (True, False, 1e-4, "runs", b"k")


def test_the_source_is_named_as_the_command_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "run_verification", lambda converted, source, **options: (converted, source))
    assert effconvert.verify("a", against="b") == effconvert.verify("a", "b") == ("a", "b")


def test_cost_takes_a_variant_or_a_file(run: Callable[..., Ran], tmp_path: Path) -> None:
    assert effconvert.cost("efficientnet-b0") == effconvert.cost("b0") == effconvert.cost(variant="b0")
    assert effconvert.cost("b0", size=240).size == 240
    with pytest.raises(MissingPath):
        effconvert.cost("b9")
    with pytest.raises(TypeError):
        effconvert.cost("b0", variant="b0")
    save(tmp_path / "b0", library_tensors("timm"))
    assert effconvert.cost(tmp_path / "b0").path == tmp_path / "b0"
    assert run("cost", "b0").out == run("cost", "--variant", "b0").out


@pytest.mark.parametrize("fact", [{"padding": "x"}, {"bn_eps": "small"}, {"classes": -1}, {"colour": "red"}])
def test_a_fact_or_value_that_nothing_has_is_the_same_error_everywhere(
    run: Callable[..., Ran], tmp_path: Path, fact: dict[str, Any]
) -> None:
    file = save(tmp_path / "b0.pth", library_tensors("timm"))
    calls: list[Callable[[], object]] = [
        lambda: effconvert.convert(file, tmp_path / "x.pth", to="timm", facts=fact),
        lambda: effconvert.create_model("b0", facts=fact),
        lambda: effconvert.load_model(file, facts=fact),
    ]
    said = set()
    for call in calls:
        with pytest.raises(UnknownName) as caught:
            call()
        said.add(str(caught.value))
    ((name, value),) = fact.items()
    ran = run("convert", file, "--to", "timm", "-o", tmp_path / "x.pth", "--facts", f"{name}={value}")
    assert (ran.exit_code, len(said)) == (2, 1)
    assert said.pop() in ran.err
    assert "'" not in ran.err.partition("Error: ")[2]


@pytest.mark.parametrize("given", ["/opt/bin/python", Path("/opt/bin/python")])
def test_one_interpreter_is_that_of_every_framework(passed: dict[str, Any], given: str | Path) -> None:
    effconvert.verify("a", "b", python=given)
    assert passed["pythons"] == {ANY: "/opt/bin/python"}
    effconvert.verify("a", "b", python={"timm": "/t"})
    assert passed["pythons"] == {"timm": "/t"}


def test_images_are_a_folder_or_chosen_in_detail(passed: dict[str, Any], tmp_path: Path) -> None:
    effconvert.verify("a", "b", images=str(tmp_path))
    assert passed["images"] == effconvert.Images(tmp_path, count=8)
    effconvert.verify("a", "b", images=effconvert.Images(seed=3))
    assert passed["images"].seed == 3


def test_a_difference_is_found_in_the_network_that_is_asked_for(tmp_path: Path) -> None:
    state = random_weights(effconvert.create_model("b0")).state_dict()
    other = random_weights(effconvert.create_model("b0")).state_dict()
    both = {f"{root}.{name}": tensor for root, one in (("a", state), ("b", other)) for name, tensor in one.items()}
    torch.save(both, tmp_path / "both.pth")
    torch.save(state, tmp_path / "one.pth")
    assert effconvert.diff(tmp_path / "one.pth", tmp_path / "one.pth", facts={"bn_eps": 1e-3}).same
    with pytest.raises(LayoutMismatch, match="holds several networks; choose one with root=…"):
        effconvert.load_model(tmp_path / "both.pth", facts={})
    found = effconvert.load_model(tmp_path / "both.pth", facts={}, root="b.")
    assert torch.equal(found.state_dict()["head.fc.weight"], other["head.fc.weight"])


def test_a_network_is_loaded_as_convert_reads_it(tmp_path: Path) -> None:
    file = save(tmp_path / "b0.pth", library_tensors("timm"))
    facts = {"bn_eps": 1e-3, "padding": "tf-same"}
    network = effconvert.load_model(file, "float16", facts, weights="ap_in1k", backbone=True)
    assert network.head is not None
    assert network.head.fc is None
    assert network.stem.conv.weight.dtype == torch.float16
    assert network.recipe is not None
    assert effconvert.load_model(file, facts=facts, recipe="tf-official").recipe != network.recipe
    with pytest.raises(LayoutMismatch, match="dtype 'float17' is unknown; known are float32"):
        effconvert.load_model(file, "float17")


def test_one_pattern_is_not_a_sequence_of_letters() -> None:
    assert patterns("aux.*") == ("aux.*",)
    assert patterns(["aux.*", "ema.*"]) == ("aux.*", "ema.*")


def test_the_cost_is_of_a_file_or_of_a_variant(tmp_path: Path) -> None:
    file = save(tmp_path / "b0.pth", library_tensors("timm"))
    assert effconvert.cost(file, size=224).parameters == effconvert.cost(variant="b0").parameters - 998 * 1281
    for arguments in ({}, {"file": file, "variant": "b0"}):
        with pytest.raises(TypeError, match="either a file or variant=…"):
            effconvert.cost(**dict[str, Any](arguments))
    with pytest.raises(MissingPath):
        effconvert.cost("nowhere.pth")


def test_facts_of_a_new_network_are_given_as_everywhere() -> None:
    by_mapping = effconvert.create_model("b0", {"classes": 10, "bn_eps": "1e-5"}).facts
    assert by_mapping == effconvert.create_model("b0", classes=10, bn_eps=1e-5).facts
    assert by_mapping == effconvert.create_model("b0", by_mapping).facts


def test_preprocess_says_what_it_takes() -> None:
    recipe = recipe_named("timm", "b0")
    with pytest.raises(TypeError, match="recipe: 'timm' is not an effconvert.Recipe, such as effconvert.load_model"):
        effconvert.preprocess("cat.jpg", "timm")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="image: ndarray is not a path or the bytes of an image file"):
        effconvert.preprocess(np.zeros((8, 8, 3)), recipe)  # type: ignore[arg-type]

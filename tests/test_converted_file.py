"""A converted file is loaded as the network that it describes, or refused when its description is not whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.numpy
import torch

import effconvert
from effconvert.conversion.transfer import tensor_checksums
from effconvert.identify.description import digest
from effconvert.verification.network_files import examine
from helpers.running import Ran


@pytest.fixture
def converted(lite0: Path, tmp_path: Path) -> Path:
    effconvert.convert(lite0, tmp_path / "lite0.safetensors")
    return tmp_path / "lite0.safetensors"


def test_load_model_is_the_network_that_the_file_describes(lite0: Path, tmp_path: Path) -> None:
    effconvert.convert(lite0, tmp_path / "x.safetensors", facts={"bn_eps": "1e-4"})
    network = effconvert.load_model(tmp_path / "x.safetensors")
    assert not network.training
    assert (network.facts.bn_eps, network.facts.activation) == (1e-4, "relu6")
    assert network.recipe.resize == "tf1-bilinear"
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_load_model_computes_in_float32_unless_told(lite0: Path, tmp_path: Path, dtype: str) -> None:
    effconvert.convert(lite0, tmp_path / "x.safetensors", dtype=dtype)
    assert effconvert.load_model(tmp_path / "x.safetensors").stem.conv.weight.dtype == torch.float32
    kept = effconvert.load_model(tmp_path / "x.safetensors", dtype=None)
    assert kept.stem.conv.weight.dtype == getattr(torch, dtype)


@pytest.mark.parametrize("changes", [{"classes": 10}, {"classes": 0}, {"classes": 0, "head_conv": False}])
def test_load_model_finds_the_head_of_a_bare_state_dict(tmp_path: Path, changes: dict[str, Any]) -> None:
    torch.save(effconvert.create_model("lite1", **changes).state_dict(), tmp_path / "own.pth")
    network = effconvert.load_model(tmp_path / "own.pth", facts={})
    assert network.variant.name == "lite1"
    assert {name: getattr(network.facts, name) for name in changes} == changes


def test_load_model_warns_of_facts_that_it_assumes(tmp_path: Path) -> None:
    torch.save(effconvert.create_model("edgetpu-s", fused_stride="expand").state_dict(), tmp_path / "own.pth")
    with pytest.warns(UserWarning, match="has no facts; assumed are bn_eps 0.001, .*fused_stride project"):
        effconvert.load_model(tmp_path / "own.pth")
    network = effconvert.load_model(tmp_path / "own.pth", facts={"fused_stride": "expand"})
    assert network.facts.fused_stride == "expand"


def edited(path: Path, **texts: str | None) -> Path:
    """Write the same file with other metadata, as anybody can."""
    with safetensors.safe_open(path, "np") as file:
        metadata = {name: text for name, text in {**file.metadata(), **texts}.items() if text is not None}
    safetensors.numpy.save_file(safetensors.numpy.load_file(path), path.with_name("edited.safetensors"), metadata)
    return path.with_name("edited.safetensors")


@pytest.mark.parametrize(
    "texts",
    [{"digest": None}, {"facts": '{"activation": "relu6"}'}, {"facts": "[]"}, {"recipe": '{"foo": 1}'}, {"source": "[1]"}, {"coverage": "[]"}, {"coverage": "{"},
     {"variant": "b99"}, {"options": "{"}, {"schema": "2"}],
)  # fmt: skip
@pytest.mark.parametrize("command", ["inspect FILE", "pt2tf FILE --out BACK"])
def test_a_description_that_is_not_whole_is_refused(
    run: Callable[..., Ran], converted: Path, tmp_path: Path, texts: dict[str, str | None], command: str
) -> None:
    names = {"FILE": edited(converted, **texts), "BACK": tmp_path / "back"}
    ran = run(*[names.get(word, word) for word in command.split()])
    assert ran.exit_code == 3
    assert "edited.safetensors: its description" in ran.err


def test_a_description_that_was_edited_is_refused(run: Callable[..., Ran], converted: Path, tmp_path: Path) -> None:
    ran = run("pt2tf", edited(converted, weights="advprop"), "--out", tmp_path / "back")
    assert ran.exit_code == 3
    assert "was changed after it was written" in ran.err


def test_a_file_from_before_coverage_was_recorded_is_read(converted: Path) -> None:
    with effconvert.open_checkpoint(converted) as checkpoint:
        texts = {name: text for name, text in checkpoint.metadata.items() if name != "coverage"}
        digested = digest(texts, tuple(checkpoint.tensors.values()), tensor_checksums(checkpoint))
    older = edited(converted, coverage=None, digest=digested)
    assert effconvert.load_model(older).variant.name == "lite0"
    assert examine(older).identity.description.origin()["coverage"] is None


def test_a_files_words_do_not_steer_the_terminal(run: Callable[..., Ran], converted: Path) -> None:
    ran = run("inspect", edited(converted, weights="\x1b[2Jns\nvariant  b7"))
    assert "\x1b" not in ran.out
    assert "\\x1b[2Jns\\nvariant  b7" in ran.out


def test_load_model_takes_a_file_of_any_layout(lite0: Path, tmp_path: Path) -> None:
    effconvert.convert(lite0, tmp_path / "x.safetensors")
    converted, direct = effconvert.load_model(tmp_path / "x.safetensors"), effconvert.load_model(lite0)
    assert direct.facts == converted.facts
    for name, tensor in converted.state_dict().items():
        assert torch.equal(direct.state_dict()[name], tensor), name

"""A file without a record of its preprocessing gets that of its network, not only that of its layout."""

from pathlib import Path
from typing import Any

import pytest
import torch

import effconvert
from effconvert.options import Options
from effconvert.preprocessing.recipes import recipe_for
from effconvert.validate.subjects import load_subject
from effconvert.verification.network_files import examine
from helpers.validate.asked_files import seeing, written

OWN: dict[str, Any] = {"padding": "symmetric", "bn_eps": 1e-5}  # of the networks that timm trained itself


@pytest.fixture
def unsaid(tmp_path: Path) -> Path:
    """A Lite0 that timm trained, as torch.save leaves it."""
    path = written(seeing("lite0", **OWN), tmp_path / "written.pth", "timm")
    state = {name: tensor for name, tensor in torch.load(path).items() if torch.is_tensor(tensor)}
    torch.save(state, tmp_path / "efficientnet_lite0.pth")
    return tmp_path / "efficientnet_lite0.pth"


def test_it_is_prepared_as_the_network_that_its_name_says(unsaid: Path) -> None:
    recipe = examine(unsaid).recipe
    assert recipe == recipe_for("timm", "lite0", "efficientnet_lite0") != recipe_for("timm", "lite0")


def test_it_is_prepared_as_the_training_that_the_user_says(unsaid: Path) -> None:
    assert examine(unsaid, Options(weights="in1k")).recipe == recipe_for("timm", "lite0", "in1k")


def test_a_training_named_later_is_better_than_the_guess_of_the_conversion(tmp_path: Path) -> None:
    torch.save(seeing().state_dict(), tmp_path / "state.pth")
    effconvert.convert(tmp_path / "state.pth", tmp_path / "unsaid.safetensors", variant="b0")
    assert examine(tmp_path / "unsaid.safetensors").recipe == recipe_for("canonical", "b0")
    advprop = examine(tmp_path / "unsaid.safetensors", Options(weights="advprop")).recipe
    assert advprop == recipe_for("canonical", "b0", "advprop") != recipe_for("canonical", "b0")


@pytest.mark.parametrize(("variant", "network", "tag"), [("b0", "efficientnet_b0", "ra_in1k"), ("l2", "tf_efficientnet_l2", "ns_jft_in1k_475")])  # fmt: skip
def test_a_network_of_timm_is_prepared_as_timms_own_default(variant: str, network: str, tag: str) -> None:
    assert recipe_for("timm", variant, network) == recipe_for("timm", variant, tag)


def test_what_a_converted_file_says_is_taken(tmp_path: Path) -> None:
    path = written(seeing("lite0", **OWN), tmp_path / "efficientnet_lite0.pth", "timm")
    assert examine(path).recipe == recipe_for("tf-official", "lite0")


def test_which_training_it_is_the_file_knows_better_than_the_user(tmp_path: Path) -> None:
    torch.save(seeing().state_dict(), tmp_path / "state.pth")
    effconvert.convert(tmp_path / "state.pth", tmp_path / "aa.safetensors", variant="b0", weights="aa")
    for name, said in (("aa.safetensors", "aa"), ("state.pth", "advprop")):
        one = load_subject(tmp_path / name, Options(weights="advprop"), None, None, None)
        assert (one.weights, one.recipe) == (said, recipe_for("canonical", "b0", said))


@pytest.mark.parametrize(("name", "training"), [("efficientnet_b0_ra-3dd342df.pth", "ra_in1k"), ("efficientnet_b0.ra4_e3600_r224_in1k.pth", "ra4_e3600_r224_in1k"), ("tf_efficientnet_b0_ap-f262efe1.pth", "ap_in1k")])  # fmt: skip
def test_a_published_name_says_which_training_it_is(name: str, training: str, tmp_path: Path) -> None:
    facts = {} if name.startswith("tf_") else OWN
    path = written(seeing("b0", **facts), tmp_path / "written.pth", "timm")
    torch.save({key: tensor for key, tensor in torch.load(path).items() if torch.is_tensor(tensor)}, tmp_path / name)
    one = load_subject(tmp_path / name, Options(), None, None, None)
    assert (one.weights, one.recipe) == (training, recipe_for("timm", "b0", training))
    assert any(f"its name says that its training is {training}" in caution for caution in one.cautions)
    assert effconvert.convert(tmp_path / name, tmp_path / "own.safetensors").weights == training

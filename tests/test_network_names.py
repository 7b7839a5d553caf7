"""The names that a file, its training or its config.json holds decide what they say, and no more."""

import json
from pathlib import Path
from typing import Any

import pytest

from effconvert.errors import LayoutMismatch
from effconvert.formats import open_checkpoint
from effconvert.identify.identification import Identity, identify
from effconvert.maps.layouts import find_layout
from effconvert.options import Options
from effconvert.reference_tables.weights import weights_table
from helpers.library_files import library_tensors, save

OWN, PORTED = ("symmetric", 1e-5), ("tf-same", 1e-3)


def identified(path: Path, facts: dict[str, Any] | None = None) -> Identity:
    """What the file at `path` is taken for."""
    with open_checkpoint(path) as checkpoint:
        return identify(checkpoint, Options(facts=facts))


def of_training(folder: Path, variant: str = "b0", **beside: object) -> Path:
    """A file of timm's tensors as a training leaves it, with `beside` beside them."""
    return save(folder / "last.pth.tar", {"state_dict": library_tensors("timm", variant), **beside})


def network_of(identity: Identity) -> tuple[str, float]:
    assert not identity.assumed
    return identity.facts.padding, identity.facts.bn_eps


@pytest.mark.parametrize(
    ("arch", "training"),
    [
        ("tf_efficientnet_b0_ns", "ns_jft_in1k"),
        ("tf_efficientnet_b0_ap", "ap_in1k"),
        ("tf_efficientnet_b0_aa", "aa_in1k"),
        ("tf_efficientnet_b0.ns_jft_in1k", "ns_jft_in1k"),
        ("hf_hub:timm/tf_efficientnet_b0.ap_in1k", "ap_in1k"),
        ("hf-hub:timm/tf_efficientnet_b0.aa_in1k", "aa_in1k"),
        ("timm/tf_efficientnet_b0.in1k", "in1k"),
        ("tf_efficientnet_b0", None),
        ("tf_efficientnet_b0.my_own_tag", None),
    ],
)
def test_every_spelling_of_a_ported_network_decides_network_and_training(
    tmp_path: Path, arch: str, training: str | None
) -> None:
    identity = identified(of_training(tmp_path, arch=arch))
    assert network_of(identity) == PORTED
    assert identity.training == training
    assert identity.assumption == "taken for tf_efficientnet_b0, as its arch says"


@pytest.mark.parametrize(("variant", "arch", "training"), [("b2", "efficientnet_b2a", None), ("edgetpu-s", "efficientnet_es_pruned", None), ("b4", "efficientnet_b4_ra2_320", "ra2_in1k")])  # fmt: skip
def test_older_names_of_timms_own_networks_decide(
    tmp_path: Path, variant: str, arch: str, training: str | None
) -> None:
    identity = identified(of_training(tmp_path, variant, arch=arch))
    assert (network_of(identity), identity.training) == (OWN, training)


def test_an_older_name_of_another_variant_decides_nothing(tmp_path: Path) -> None:
    for arch in ("efficientnet_b2a", "tf_efficientnet_b3_ns"):
        assert identified(of_training(tmp_path, arch=arch)).assumption.startswith(f"ambiguous: its arch says {arch!r}")


def test_every_name_that_timm_published_a_training_under_is_known(tmp_path: Path) -> None:
    rows = [row for row in weights_table() if row.framework == "timm" and row.variant == "lite0"]
    for row in rows:
        identity = identified(of_training(tmp_path, "lite0", arch=f"{row.network}.{row.weights}"))
        assert (identity.network, identity.training, identity.told_by) == (row.network, row.weights, "arch")


@pytest.mark.parametrize(
    "beside",
    [
        {"hyper_parameters": {"backbone": "efficientnet_b0"}},
        {"hyper_parameters": {"encoder_name": "timm-efficientnet-b0"}},
        {"hyper_parameters": {"model": {"name": "efficientnet_b0"}}},
        {"config": {"model": {"name": "efficientnet_b0"}}},
        {"cfg": {"MODEL": {"ARCH": "efficientnet_b0"}}},
        {"arch": {"type": "efficientnet_b0"}},
        {"config": {"model.name": "efficientnet_b0"}},
        {"net": "tu-efficientnet_b0"},
    ],
    ids=str,
)
def test_a_known_name_under_any_usual_key_decides(tmp_path: Path, beside: dict[str, Any]) -> None:
    assert network_of(identified(of_training(tmp_path, **beside))) == OWN


@pytest.mark.parametrize(
    "beside",
    [
        {"backbone": "resnet50"},
        {"model": {"name": "run-17"}},
        {"teacher": {"arch": "efficientnet_b0"}},
        {"teacher": "efficientnet_b0"},
        {"name": "efficientnet_b0"},
        {"optimizer": {"type": "efficientnet_b0"}},
    ],
    ids=str,
)
def test_other_texts_decide_nothing(tmp_path: Path, beside: dict[str, Any]) -> None:
    identity = identified(of_training(tmp_path, **beside))
    assert identity.assumed == {"bn_eps", "padding"}
    assert identity.facts.padding == "tf-same"


@pytest.mark.parametrize(
    ("config", "facts"),
    [
        ({"_model_class": "Unet", "encoder_name": "timm-efficientnet-b0", "encoder_weights": "advprop"}, OWN),
        ({"_model_class": "Unet", "encoder_name": "tu-tf_efficientnet_b0"}, PORTED),
        ({"architecture": "tf_efficientnet_b0_ns"}, PORTED),
        ({"model": {"backbone": {"type": "efficientnet_b0"}}}, OWN),
    ],
    ids=str,
)
def test_a_config_beside_the_file_decides(tmp_path: Path, config: object, facts: tuple[str, float]) -> None:
    path = save(tmp_path / "model.pth", library_tensors("timm"))
    path.with_name("config.json").write_text(json.dumps(config))
    assert network_of(identified(path)) == facts


BLUR = "says 'efficientnet_blur_b0', which is another network of timm's, with the same tensors: it blurs"


@pytest.mark.parametrize("where", ["arch", "config.json", "name", "backbone"])
def test_a_network_of_the_same_tensors_that_computes_otherwise_is_refused(tmp_path: Path, where: str) -> None:
    beside = {where: "efficientnet_blur_b0"} if where in ("arch", "backbone") else {}
    path = of_training(tmp_path, **beside)
    if where == "name":
        path = path.rename(tmp_path / "efficientnet-blur-b0_best.pth")
    if where == "config.json":
        path.with_name("config.json").write_text('{"architecture": "efficientnet_blur_b0.untrained"}')
    expected = BLUR if where != "name" else BLUR.replace("arch", "name")
    with pytest.raises(LayoutMismatch, match=f"its {where} {expected}".replace("(", r"\(")) as caught:
        identified(path)
    assert "facts=" in str(caught.value)


def test_facts_that_are_given_are_believed_against_such_a_name(tmp_path: Path) -> None:
    path = of_training(tmp_path, arch="efficientnet_blur_b0")
    assert network_of(identified(path, {"padding": "symmetric", "bn_eps": "1e-5"})) == OWN


@pytest.mark.parametrize("name", ["efficientnet_b0_gn", "efficientnet_b0_g8_gn", "efficientnet_b0_g16_evos", "efficientnet_b1_pruned", "efficientnet_x_b3", "efficientnet_h_b5", "efficientnetv2_rw_s", "tf_efficientnetv2_b0", "gc_efficientnetv2_rw_t", "tf_mixnet_s", "mixnet_xl"])  # fmt: skip
def test_names_of_networks_with_other_tensors_are_said_and_decide_nothing(tmp_path: Path, name: str) -> None:
    words = f"its {{}} says {name!r}, a network of other tensors, which does not decide"
    path = of_training(tmp_path, arch=name)
    assert words.format("arch") in identified(path).assumption
    bare = save(tmp_path / f"{name}-best.pth", library_tensors("timm"))
    assert words.format("name") in identified(bare).assumption


def test_a_longer_word_is_not_such_a_name(tmp_path: Path) -> None:
    path = save(tmp_path / "efficientnet_b0_gnome.pth", library_tensors("timm"))
    assert identified(path).assumption == "taken for efficientnet_b0, as its name says"


def test_every_alias_of_a_map_is_of_one_of_its_networks() -> None:
    layout = find_layout("timm")
    assert layout.aliases["efficientnet_b3a"] == "efficientnet_b3"
    assert set(layout.same_tensors) == {"efficientnet_blur_b0"}

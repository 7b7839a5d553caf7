"""Tensors beside the network: averages, optimizer slots, counters, other networks and classifiers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effconvert.architecture.variants import VARIANTS
from effconvert.drafting.draft import Draft, draft_map
from effconvert.errors import LayoutMismatch
from effconvert.maps.layouts import parse_layout
from effconvert.maps.moves import compile_moves
from helpers import mindspore_weights
from helpers.checkpoints import AVERAGE, write_checkpoint
from helpers.library_files import canonical_values, facts_of, library_tensors, save

CAUTION = "library.caution"  # names alone tell, in a file that was not trained and whose order is that of its names


def ignored(draft: Draft) -> dict[str, str]:
    import tomllib

    reasons = tomllib.loads(draft.text).get("ignore", {})
    return {pattern: reason for reason, patterns in reasons.items() for pattern in patterns}


def asked(draft: Draft) -> list[str]:
    return [question.where for question in draft.questions]


def test_averages_and_slots_beside_the_weights_are_told_apart(tmp_path: Path) -> None:
    weights = library_tensors("tf-official")
    averages = {name + AVERAGE: tensor * 2 for name, tensor in weights.items() if name != "global_step"}
    slots = {f"{name}/RMSProp": tensor for name, tensor in weights.items() if name != "global_step"}
    draft = draft_map(write_checkpoint(tmp_path / "checkpoint", weights | averages | slots), "b0")
    assert asked(draft) == [CAUTION]
    assert 'average   = "{name}/ExponentialMovingAverage"' in draft.text
    assert 'root      = "efficientnet-{variant}/"' in draft.text
    assert ignored(draft) == {"*/RMSProp": "optimizer slot", "global_step": "single value that a training kept"}


def test_copies_that_may_be_averages_or_slots_are_asked_about(tmp_path: Path) -> None:
    weights = library_tensors("tf-official")
    copies = {f"{name}/qwerty": tensor * 2 for name, tensor in weights.items() if name != "global_step"}
    draft = draft_map(write_checkpoint(tmp_path / "checkpoint", weights | copies), "b0")
    assert asked(draft) == ["average", CAUTION, "ignore, */qwerty"]
    assert 'average   = ["", "{name}/qwerty"]  # QUESTION' in draft.text


def test_what_mindspore_puts_before_names_stays_behind(tmp_path: Path) -> None:
    weights = library_tensors("mindvision")
    slots = {f"moments.{name}": tensor for name, tensor in weights.items()}
    draft = draft_map(save(tmp_path / "unknown.pth", weights | slots), "b0")
    assert draft.is_complete
    assert ignored(draft) == {"moments.*": "optimizer slot"}


def test_a_training_file_is_read_under_its_dict_and_the_averages_are_taken(tmp_path: Path) -> None:
    weights = library_tensors("timm")
    nested = {
        "epoch": 3,
        "state_dict": {f"module.{name}": tensor for name, tensor in weights.items()},
        "state_dict_ema": {f"module.{name}": tensor for name, tensor in weights.items()},
        "optimizer": {"state": {number: {"exp_avg": tensor} for number, tensor in enumerate(weights.values())}},
    }
    draft = draft_map(save(tmp_path / "unknown.pth", nested), "b0")
    assert draft.is_complete
    assert (
        draft.text.partition("schema")[2]
        == draft_map(save(tmp_path / "plain.pth", weights), "b0").text.partition("schema")[2]
    )


def test_tensors_that_the_network_has_no_place_for_are_asked_about(tmp_path: Path) -> None:
    shapes = mindspore_weights.all_shapes()["mindspore-zoo-b1"]["b1"]
    chance = np.random.default_rng(0)
    file = {name: (chance.normal(size=shape) ** 2 + 0.1).astype(np.float32) for name, shape in shapes.items()}
    draft = draft_map(save(tmp_path / "unknown.pth", file), "b1")
    assert not draft.open
    unknown = {name for name, reason in ignored(draft).items() if not reason}
    assert {"stem.0.bias", "head.0.bias", "blocks.0.layers.*.expand_conv.1.gamma"} <= unknown
    assert set(asked(draft)) == {CAUTION, *(f"ignore, {name}" for name in unknown)}


def test_zeros_that_the_network_has_no_place_for_change_nothing(tmp_path: Path) -> None:
    file = library_tensors("timm") | {"conv_stem.bias": np.zeros(32, np.float32)}
    draft = draft_map(save(tmp_path / "unknown.pth", file), "b0")
    assert draft.is_complete
    assert ignored(draft) == {"conv_stem.bias": "zeros, which change nothing"}


def test_a_network_that_normalises_pixels_is_noticed(tmp_path: Path) -> None:
    file = library_tensors("keras")
    file["normalization/mean"], file["normalization/variance"] = np.ones((2, 3), np.float32)
    draft = draft_map(save(tmp_path / "unknown.pth", file), "b0")
    assert draft.facts["normalization"] == '"keras"'
    assert ignored(draft)["normalization/mean"] == "the network's own normalization of pixels"


@pytest.mark.parametrize(
    "facts",
    [{"in_channels": 1}, {"in_channels": 5}, {"classes": 1}, {"classes": 0}, {"classes": 0, "head_conv": False}],
)
def test_shapes_tell_classes_channels_and_whether_there_is_a_head(tmp_path: Path, facts: dict[str, Any]) -> None:
    draft = draft_map(save(tmp_path / "unknown.pth", library_tensors("timm", **facts)), "b0")
    assert not draft.open
    truth = canonical_values("b0", **{"classes": 2, **facts})
    assert {target: move.target_shape for target, move in draft.moves.items()} == {
        target: tensor.shape for target, tensor in truth.items()
    }


@pytest.mark.parametrize(
    ("facts", "missing"),
    [({"classes": 0}, ["fc"]), ({"classes": 0, "head_conv": False}, ["conv", "bn", "fc"])],
    ids=["no classifier", "no head"],
)
def test_layers_that_the_file_lacks_are_asked_for(tmp_path: Path, facts: dict[str, Any], missing: list[str]) -> None:
    file = library_tensors("timm", **facts)
    draft = draft_map(save(tmp_path / "unknown.pth", file), "b0")
    assert asked(draft) == [f"layers.head, {layer}" for layer in missing]
    answered = draft.text
    for layer in missing:
        answered = answered.replace(f'["head.{layer}"]', f'"my_{layer}"')
    moves = compile_moves(parse_layout(answered.encode(), "my.toml"), VARIANTS["b0"], facts_of("timm", "b0", classes=2))
    named = {move.target.rpartition(".")[0]: move.source.rpartition(".")[0] for move in moves}
    assert [named[f"head.{layer}"] for layer in missing] == [f"my_{layer}" for layer in missing]


def networks(tmp_path: Path, *names: str, nested: bool) -> Path:
    weights = library_tensors("timm")
    held = {name: dict(weights) for name in names}
    flat = {f"{name}.{tensor}": values for name in names for tensor, values in weights.items()}
    return save(tmp_path / "unknown.pth", held if nested else flat)


@pytest.mark.parametrize(("nested", "sign"), [(True, "/"), (False, ".")], ids=["in dicts", "by prefixes"])
def test_of_several_networks_none_is_taken_before_one_is_named(tmp_path: Path, nested: bool, sign: str) -> None:
    path = networks(tmp_path, "student", "teacher", nested=nested)
    with pytest.raises(
        LayoutMismatch, match=f"holds several networks, under 'student{sign}', 'teacher{sign}'; give one"
    ):
        draft_map(path, "b0")
    assert '"conv_stem"' in draft_map(path, "b0", root=f"teacher{sign}").text


def test_the_averages_are_taken_beside_a_network_of_the_same_names(tmp_path: Path) -> None:
    draft = draft_map(networks(tmp_path, "model", "ema_model", nested=False), "b0")
    assert draft.is_complete


def test_a_root_that_no_tensor_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutMismatch, match="no tensor's name begins with 'other.'"):
        draft_map(networks(tmp_path, "student", nested=False), "b0", root="other.")


def test_layers_that_may_all_be_the_classifier_are_named_and_one_can_be_left_out(tmp_path: Path) -> None:
    file = library_tensors("timm", classes=37)
    file |= {"old_fc.weight": np.ones((1000, 1280), np.float32), "old_fc.bias": np.ones(1000, np.float32)}
    path = save(tmp_path / "unknown.pth", file)
    with pytest.raises(LayoutMismatch, match=r"several layers may be the classifier.*leave=") as caught:
        draft_map(path, "b0")
    assert {"classifier.weight (37, 1280)", "old_fc.weight (1000, 1280)"} <= {
        line.strip() for line in str(caught.value).splitlines()
    }
    draft = draft_map(path, "b0", leave=["old_fc.*"])
    assert draft.is_complete
    assert draft.moves["head.fc.weight"].source == "classifier.weight"
    assert ignored(draft) == {"old_fc.*": "left out of the draft, as asked"}


def test_names_that_the_language_cannot_write_are_named(tmp_path: Path) -> None:
    file = {name.replace("blocks", "{blocks}"): tensor for name, tensor in library_tensors("timm").items()}
    with pytest.raises(LayoutMismatch, match=r"names with \{ or \}, which the map language keeps for placeholders"):
        draft_map(save(tmp_path / "unknown.pth", file), "b0")


def test_a_file_in_which_no_vector_is_free_of_negative_values_is_drafted(tmp_path: Path) -> None:
    file = library_tensors("timm")
    one, other = "blocks.1.0.bn2.running_var", "blocks.1.0.bn2.bias"
    file[one], file[other] = file[other] - 1, file[one]
    names = {name: name.replace("running_var", "x").replace("bias", "y") for name in file}
    draft = draft_map(save(tmp_path / "unknown.pth", {names[name]: tensor for name, tensor in file.items()}), "b0")
    assert not draft.is_complete


@pytest.mark.parametrize("name", ["timm", "canonical", "", "a b", "../x", "-x", "a\nb"])
def test_a_name_that_no_layout_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LayoutMismatch, match="give another one"):
        draft_map(tmp_path / "unknown.pth", "b0", name)


def test_another_variant_is_refused_with_the_one_that_it_is(tmp_path: Path) -> None:
    path = save(tmp_path / "unknown.pth", library_tensors("timm"))
    with pytest.raises(LayoutMismatch, match=r"does not hold the tensors of b1; .* b0 or lite0: give variant=.b0"):
        draft_map(path, "b1")

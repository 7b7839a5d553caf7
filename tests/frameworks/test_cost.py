"""The real counters, on the real networks, give the numbers of each convention exactly."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from helpers.deep import deep_but
from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import pytest
import timm
import torch
from fvcore.nn import FlopCountAnalysis
from mmengine.analysis import get_model_complexity_info
from mmpretrain.models import ImageClassifier
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import get_model_weights

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS, head_channels
from effconvert.costs.conventions import CONVENTIONS
from effconvert.model import create_model
from effconvert.reference_tables.cost import cost_table
from effconvert.validate.cost_report import operation_count

TIMM = {
    "b0": "tf_efficientnet_b0",
    "b3": "tf_efficientnet_b3",
    "cc-b0-4e": "tf_efficientnet_cc_b0_4e",
    "cc-b0-8e": "tf_efficientnet_cc_b0_8e",
    "cc-b1-8e": "tf_efficientnet_cc_b1_8e",
    "edgetpu-s": "tf_efficientnet_es",
    "edgetpu-l": "tf_efficientnet_el",
    "lite0": "tf_efficientnet_lite0",
    "lite4": "tf_efficientnet_lite4",
}
MMPRETRAIN = {"b0": "b0", "b2": "b2", "edgetpu-s": "es", "edgetpu-m": "em"}
ODD = 97
CLASSES = 1000


def sizes(names: dict[str, str]) -> list[tuple[str, int]]:
    """Return every network at its own size and at an odd one."""
    return [(name, size) for name in names for size in (VARIANTS[name].resolution, ODD)]


def small(case: tuple[str, int]) -> bool:
    """Return whether a case is counted every time: one of each kind, and B0 at its own size too."""
    name, size = case
    return name == "b0" or (size == ODD and name in ("cc-b0-4e", "edgetpu-s", "lite0"))


def ours(convention: str, name: str, size: int, classes: int = CLASSES) -> int:
    """Return the figure of `convention` for the network that the libraries have."""
    variant = VARIANTS[name]
    return operation_count(convention, variant, replace(default_facts(variant), classes=classes), size)


def mmpretrain_network(name: str) -> nn.Module:
    """Return mmpretrain's classifier of the variant, in eval mode."""
    return ImageClassifier(
        backbone={"type": "EfficientNet", "arch": MMPRETRAIN[name]},
        neck={"type": "GlobalAveragePooling"},
        head={"type": "LinearClsHead", "num_classes": CLASSES, "in_channels": head_channels(VARIANTS[name])},
    ).eval()


def fvcore(network: nn.Module, size: int) -> int:
    """Return what fvcore counts."""
    counter = FlopCountAnalysis(network, torch.zeros(1, 3, size, size))
    return int(counter.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


def torch_count(network: nn.Module, size: int) -> int:
    """Return what torch's own counter counts."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, size, size))
    return counter.get_total_flops()


@contextmanager
def features_only(network: nn.Module) -> Iterator[nn.Module]:
    """Give the network as mmpretrain's get_flops.py runs it: the backbone and the pooling, without a classifier."""
    network.forward = network.extract_feat
    yield network
    del network.forward


@pytest.mark.parametrize(("name", "size"), deep_but(sizes(TIMM), small))
def test_fvcore_and_torch_on_timm(name, size):
    network = timm.create_model(TIMM[name]).eval()
    assert fvcore(network, size) == ours("fvcore-timm", name, size)
    assert torch_count(network, size) == ours("torch-flop-counter", name, size)


@pytest.mark.parametrize("classes", [0, 7])
def test_other_classes_on_timm(classes):
    network = timm.create_model(TIMM["cc-b0-4e"], num_classes=classes).eval()
    assert fvcore(network, ODD) == ours("fvcore-timm", "cc-b0-4e", ODD, classes)
    assert torch_count(network, ODD) == ours("torch-flop-counter", "cc-b0-4e", ODD, classes)


@pytest.mark.parametrize(("name", "size"), deep_but(sizes(MMPRETRAIN), small))
def test_mmpretrains_counter_in_eval_and_in_training_mode(name, size):
    network = mmpretrain_network(name)
    with features_only(network):
        for convention, training in (("mmpretrain-get-flops", False), ("mmpretrain-table", True)):
            network.train(training)
            counted = get_model_complexity_info(network, (3, size, size), show_table=False, show_arch=False)
            assert counted["flops"] == ours(convention, name, size)


@pytest.mark.parametrize(("name", "size"), deep_but(sizes(MMPRETRAIN), small))
def test_every_counter_on_the_whole_model_of_mmpretrain(name, size):
    network = mmpretrain_network(name)
    expected = ours("fvcore-mmpretrain", name, size)
    counted = get_model_complexity_info(network, (3, size, size), show_table=False, show_arch=False)
    assert counted["flops"] == fvcore(network, size) == expected
    assert torch_count(network, size) == ours("torch-flop-counter", name, size)


@pytest.mark.parametrize("name", ["b0", "cc-b0-4e", "edgetpu-s", "lite0"])
def test_torch_on_the_canonical_network_counts_what_it_counts_on_timms(name):
    assert torch_count(create_model(name, classes=CLASSES), ODD) == ours("torch-flop-counter", name, ODD)


def test_mmpretrain_has_just_the_networks_that_its_conventions_cover():
    from mmpretrain.models.backbones.efficientnet import EfficientNet

    names = {"es": "edgetpu-s", "em": "edgetpu-m"}
    # Its `el` is another network than TensorFlow's: 120 channels where that has 128.
    known = {names.get(arch, arch) for arch in EfficientNet.arch_settings} - {"el"}
    assert known == set(CONVENTIONS["mmpretrain-table"].variants)


def test_the_table_has_what_torchvision_publishes():
    rows = {row.variant: row for row in cost_table() if row.kind == "torchvision"}
    for number in range(8):
        for weights in get_model_weights(f"efficientnet_b{number}"):
            row = rows[f"b{number}"]
            assert row.parameters == weights.meta["num_params"]
            assert row.operations == round(weights.meta["_ops"] * 1000) * 10**6
            assert row.size == weights.transforms().crop_size[0]

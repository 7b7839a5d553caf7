"""`effconvert validate` gives timm's own results: its files, its transform, its network, its counting."""

import io
from dataclasses import dataclass
from pathlib import Path

from helpers.deep import deep_but
from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import numpy as np
import pytest
import timm.utils
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.models import get_pretrained_cfg

from helpers.frameworks.figures import record
from helpers.frameworks.torch_libraries import built, calibrated, write
from helpers.frameworks.validating import (
    Images,
    assert_same_answers,
    hits,
    images,
    validated,
    write_class_folders,
    write_flat,
    write_labels,
)
from helpers.pictures import KINDS

SYMMETRIC = {"padding": "symmetric", "bn_eps": 1e-5}
SAID = ("--weights", "ra_in1k")  # timm trained efficientnet_b0 twice, and prepares images differently for each
CASES = [
    ("tf_efficientnet_b0", "b0", {}, ()),
    ("efficientnet_b0", "b0", SYMMETRIC, SAID),
    ("tf_efficientnet_cc_b0_4e", "cc-b0-4e", {}, ()),
    ("efficientnet_lite0", "lite0", SYMMETRIC, ()),
    ("tf_efficientnet_es", "edgetpu-s", {"fused_stride": "expand", "classes": 1000}, ()),
]
IMAGES = images(54, KINDS)


@dataclass(frozen=True)
class Timms:
    """A network in the file that timm saved, what must be said of it, and what timm answers: logits [N, 1000]."""

    file: Path
    options: tuple[str, ...]
    logits: np.ndarray

    @property
    def labels(self) -> list[int]:
        """The class that timm finds in each image."""
        return self.logits.argmax(1).tolist()


def answered(network: torch.nn.Module, name: str, found: Images) -> np.ndarray:
    """Return the logits [N, outputs] of timm's network for images through timm's own transform of the network `name`."""
    own = get_pretrained_cfg(name).to_dict()
    transform = create_transform(**resolve_data_config(pretrained_cfg=own, use_test_size=True), is_training=False)
    batch = torch.stack([transform(Image.open(io.BytesIO(data)).convert("RGB")) for data in found.data])
    with torch.inference_mode():
        return torch.cat([network(part) for part in batch.split(16)]).numpy()


def saved(folder: Path, name: str, variant: str, facts: dict[str, object], options: tuple[str, ...]) -> Timms:
    """Have timm build its network, and save it as its users do."""
    network = built(write(calibrated(variant, (224, 224), **facts), folder / "written.pth", "timm"))
    with torch.no_grad():  # or a few classes come first everywhere
        network.classifier.bias -= torch.from_numpy(answered(network, name, images(18, KINDS)).mean(0))
    torch.save(network.state_dict(), folder / f"{name}.pth")
    return Timms(folder / f"{name}.pth", options, answered(network, name, IMAGES))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("plain"), *CASES[0])


@pytest.mark.parametrize(
    "case",
    deep_but([(case,) for case in CASES], lambda case: case[0] in (CASES[0], CASES[3])),
    ids=lambda case: case[0],
)
def test_every_image_is_answered_as_timm_answers_it(capsys, tmp_path, case):
    timms = saved(tmp_path, *case)
    flat = write_flat(tmp_path / "flat", IMAGES, timms.labels)
    result, found = validated(capsys, timms.file, flat, *timms.options)
    assert_same_answers(f"timm {case[0]}", found, timms.logits)
    assert hits(result) == (len(IMAGES), len(IMAGES), len(IMAGES))


def test_class_folders_give_the_same_hits(capsys, tmp_path, plain):
    result, found = validated(capsys, plain.file, write_class_folders(tmp_path / "val", IMAGES, plain.labels))
    assert_same_answers("timm, class folders", found, plain.logits)
    assert hits(result) == (len(IMAGES), len(IMAGES), len(IMAGES))


def test_accuracy_is_the_share_of_right_labels_and_what_timms_meters_say(capsys, tmp_path, plain):
    order = np.argsort(-plain.logits, axis=1)
    labels = order[np.arange(len(IMAGES)), [(0, 0, 2, 0, 0, 999)[place % 6] for place in range(len(IMAGES))]]
    flat = write_flat(tmp_path / "flat", IMAGES, plain.labels)
    wrong = write_labels(tmp_path / "wrong.txt", IMAGES, labels.tolist())
    result, _ = validated(capsys, plain.file, flat, "--labels", wrong)
    assert hits(result) == (len(IMAGES) * 4 // 6, len(IMAGES) * 5 // 6, len(IMAGES))
    meters = {"top1": timm.utils.AverageMeter(), "top5": timm.utils.AverageMeter()}
    parts = (torch.from_numpy(array).split(16) for array in (plain.logits, labels))
    for logits, target in zip(*parts, strict=True):
        for meter, percent in zip(meters.values(), timm.utils.accuracy(logits, target, topk=(1, 5)), strict=True):
            meter.update(percent.item(), len(logits))
    for name, meter in meters.items():
        assert (
            record("timm, its meters", name, abs(result["accuracy"][name]["percent"] - meter.avg), "<= 1e-05") <= 1e-5
        )

"""Every kind of file that OpenMMLab writes is read bit for bit, those that torch.load refuses included."""

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import argparse
import runpy
import time
import zipfile
from collections import OrderedDict
from pathlib import Path

import mmpretrain
import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from helpers.frameworks.torch_training import Tiny, assert_holds, prefixed, tensors_in, train

FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
PUBLISH = Path(mmpretrain.__file__).parent / ".mim" / "tools" / "model_converters" / "publish_model.py"
IMAGENET = {"classes": tuple(f"class {number}" for number in range(1000))}


class Classifier(BaseModel):
    """Network that a Runner trains: its forward returns the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Tiny()

    def forward(self, inputs, label, mode="tensor"):
        logits = self.backbone(inputs)
        return {"loss": nn.functional.cross_entropy(logits, label)} if mode == "loss" else logits


class Images(torch.utils.data.Dataset):
    def __init__(self) -> None:
        self.metainfo = {"classes": ("cat", "dog")}

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {"inputs": torch.randn(3, 8, 8), "label": torch.tensor(index % 2)}


def train_with_mmengine(folder: Path, optimizer: str) -> Path:
    """Train for an epoch with averages, and return the checkpoint that the Runner wrote."""
    loader = {
        "dataset": Images(),
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "batch_size": 2,
        "collate_fn": {"type": "default_collate"},
    }
    Runner(
        model=Classifier(),
        work_dir=str(folder),
        train_dataloader=loader,
        train_cfg={"by_epoch": True, "max_epochs": 1},
        optim_wrapper={"optimizer": {"type": optimizer, "lr": 0.1}},
        param_scheduler=[
            {"type": "LinearLR", "start_factor": 0.1, "end": 2, "by_epoch": False},
            {"type": "CosineAnnealingLR", "T_max": 2},
            {"type": "MultiStepLR", "milestones": [1]},
        ],
        custom_hooks=[{"type": "EMAHook", "momentum": 0.1}],
        default_scope="mmengine",
        experiment_name=f"{folder.name}-{optimizer}",
        log_level="ERROR",
    ).train()
    return folder / "epoch_1.pth"


def converted() -> OrderedDict:
    """Return a state dict as OpenMMLab's converter makes it: transposed kernels, a head cut out of a larger one."""
    depthwise = torch.randn(3, 3, 32, 1).permute(3, 2, 0, 1).transpose(1, 0)
    head = torch.randn(1001, 16)
    return OrderedDict(
        {
            "backbone.layers.0.conv.weight": torch.randn(3, 3, 3, 32).permute(3, 2, 0, 1),
            "backbone.layers.1.0.depthwise_conv.conv.weight": depthwise,
            "head.fc.weight": head[1:],
            "head.fc.bias": torch.randn(1001)[1:],
        }
    )


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW", "RMSprop"])
def test_a_runner_with_averages(tmp_path, optimizer):
    path = train_with_mmengine(tmp_path, optimizer)
    with pytest.raises(Exception, match="HistoryBuffer"):
        torch.load(path, weights_only=True)
    loaded = torch.load(path, weights_only=False)
    metadata = assert_holds(path, tensors_in(loaded))
    assert metadata["meta/mmengine_version"].startswith("0.10.7")
    assert metadata["meta/epoch"] == "1"
    raw, averages = loaded["ema_state_dict"]["module.backbone.fc.weight"], loaded["state_dict"]["backbone.fc.weight"]
    assert not torch.equal(raw, averages)


@FORMS
def test_the_converters_output(tmp_path, zipped):
    state = converted()
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert assert_holds(tmp_path / "x.pth", state) == {}


@pytest.mark.parametrize("no_ema", [False, True])
def test_what_mmpretrain_publishes(tmp_path, monkeypatch, no_ema):
    """The real publish_model.py, on the converter's output."""
    state = converted()
    torch.save(state, tmp_path / "in.pth")
    publish = runpy.run_path(str(PUBLISH))["process_checkpoint"]
    publish(
        str(tmp_path / "in.pth"),
        str(tmp_path / "published.pth"),
        argparse.Namespace(dataset_type="ImageNet", no_ema=no_ema),
    )
    (path,) = tmp_path.glob("published_*.pth")
    metadata = assert_holds(path, prefixed("state_dict", state))
    assert metadata == {"meta/mmpretrain_version": mmpretrain.__version__}


def training_of_mmcls_0(model: nn.Module) -> dict:
    """Return what the Runner of mmcv 1.x saves for mmcls 0.x; mmcv 1.x cannot be installed beside this PyTorch.

    The numpy scalars are best_score's, written by the EvalHook of mmcv 1.x.
    """
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    train(model, optimizer)
    meta = {
        "env_info": "sys.platform: linux\nPython: 3.8",
        "config": "model = dict(type='ImageClassifier')\n" * 100,
        "seed": 0,
        "exp_name": "efficientnet-b0_8xb32_in1k.py",
        "mmcls_version": "0.25.0+1234567",
        "CLASSES": list(IMAGENET["classes"]),
        "PALETTE": None,
        "epoch": 100,
        "iter": 500400,
        "mmcv_version": "1.7.1",
        "time": time.asctime(),
        "hook_msgs": {"best_score": np.float64(77.5), "best_ckpt": "best_accuracy_top-1_epoch_99.pth"},
    }
    return {"meta": meta, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict()}


@FORMS
def test_a_training_of_mmcls_0(tmp_path, zipped):
    content = training_of_mmcls_0(Tiny())
    path = tmp_path / "epoch_100.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(Exception, match="numpy"):
        torch.load(path, weights_only=True)
    metadata = assert_holds(path, tensors_in(content))
    assert metadata["meta/mmcls_version"] == "0.25.0+1234567"
    assert len(metadata["meta/config"]) == 500


def named_as_by_numpy_1(path: Path, zipped: bool) -> None:
    """Name numpy's functions as they were named before numpy 2."""
    names = (b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert names[0] + b"scalar\n" in path.read_bytes()
    if not zipped:
        path.write_bytes(path.read_bytes().replace(*names))
        return
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, content.replace(*names) if name.endswith("/data.pkl") else content)


@FORMS
def test_a_training_of_mmcls_0_with_numpy_1(tmp_path, zipped):
    content = training_of_mmcls_0(Tiny())
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    named_as_by_numpy_1(tmp_path / "x.pth", zipped)
    assert_holds(tmp_path / "x.pth", tensors_in(content))


@FORMS
def test_a_training_of_mmcls_0_that_was_published(tmp_path, zipped):
    """publish_model.py of 0.x drops the optimizer and keeps the rest."""
    content = training_of_mmcls_0(Tiny())
    del content["optimizer"]
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert_holds(tmp_path / "x.pth", prefixed("state_dict", content["state_dict"]))

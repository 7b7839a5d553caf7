"""The training files of timm and of torchvision's scripts are read bit for bit, with every optimizer."""

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import argparse
from pathlib import Path

import pytest
import timm
import torch
from timm.optim import create_optimizer_v2
from timm.utils import CheckpointSaver, ModelEmaV2, NativeScaler
from torch.optim import lr_scheduler

from helpers.frameworks.torch_training import Tiny, assert_holds, prefixed, tensors_in, train


def arguments() -> argparse.Namespace:
    return argparse.Namespace(
        model="tf_efficientnet_b0", lr=0.1, mean=(0.5, 0.5, 0.5), opt_betas=[0.9, 0.99], model_kwargs={"drop_rate": 0.2},
        device=torch.device("cpu"), output=Path("output"), initial_checkpoint=None,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["sgd", "rmsproptf", "adamw", "lamb", "adafactor", "lookahead_radam"])
def test_a_training_file_of_timm(tmp_path, name):
    model = Tiny()
    average = ModelEmaV2(model, decay=0.9)
    optimizer = create_optimizer_v2(model, opt=name, lr=0.1)
    train(model, optimizer)
    average.update(model)
    saver = CheckpointSaver(model, optimizer, arguments(), average, NativeScaler("cpu"), checkpoint_dir=str(tmp_path))
    saver.save_checkpoint(3, metric=76.5)
    path = tmp_path / "checkpoint-3.pth.tar"
    with pytest.raises(Exception, match="Namespace"):
        torch.load(path, weights_only=True)
    loaded = torch.load(path, weights_only=False)
    states = prefixed("state_dict", model.state_dict()) | prefixed("state_dict_ema", average.module.state_dict())
    assert not torch.equal(states["state_dict/fc.weight"], states["state_dict_ema/fc.weight"])
    found = tensors_in(loaded)
    assert found.keys() > states.keys()
    metadata = assert_holds(path, found)
    expected = {"arch": "tf_efficientnet_b0", "epoch": "3", "metric": "76.5", "args/model": "tf_efficientnet_b0"}
    assert metadata.items() > expected.items()


def test_a_model_of_timm(tmp_path):
    state = timm.create_model("tf_efficientnet_b0", pretrained=False).state_dict()
    torch.save(state, tmp_path / "x.pth")
    assert_holds(tmp_path / "x.pth", state)


def schedulers(optimizer: torch.optim.Optimizer) -> dict[str, object]:
    return {
        "step": lr_scheduler.StepLR(optimizer, 2),
        "steps": lr_scheduler.MultiStepLR(optimizer, [3, 5]),
        "warm up and cosine": lr_scheduler.SequentialLR(
            optimizer, [lr_scheduler.LinearLR(optimizer), lr_scheduler.CosineAnnealingLR(optimizer, 10)], [2]
        ),
        "one cycle": lr_scheduler.OneCycleLR(optimizer, 0.1, 10),
        "cyclic": lr_scheduler.CyclicLR(optimizer, 0.1, 0.2),
        "plateau": lr_scheduler.ReduceLROnPlateau(optimizer),
        "function": lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.1),
    }


@pytest.mark.filterwarnings("ignore")
def test_a_training_file_of_torchvisions_scripts(tmp_path):
    """Return a checkpoint as references/classification/train.py saves it: model, optimizer, args, model_ema, …"""
    model = Tiny()
    optimizer = torch.optim.RMSprop(model.parameters(), 0.1, momentum=0.9)
    train(model, optimizer)
    for name, scheduler in schedulers(optimizer).items():
        content = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "lr_scheduler": scheduler.state_dict(),
            "epoch": 3,
            "args": arguments(),
            "model_ema": torch.optim.swa_utils.AveragedModel(model).state_dict(),
            "scaler": torch.amp.GradScaler("cpu").state_dict(),
        }
        torch.save(content, tmp_path / f"{name}.pth")
        metadata = assert_holds(tmp_path / f"{name}.pth", tensors_in(content))
        assert metadata["args/model"] == "tf_efficientnet_b0"
        assert metadata["epoch"] == "3"

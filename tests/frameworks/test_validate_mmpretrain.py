"""`effconvert validate` gives mmpretrain's own results: a file that it saved, its pipeline, its network."""

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import mmpretrain
import torch
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS

import effconvert
from helpers.frameworks.torch_libraries import calibrated
from helpers.frameworks.validating import assert_same_answers, hits, images, validated, write_class_folders
from helpers.pictures import KINDS

IMAGES = images(54, KINDS)
CONFIG = "efficientnet-b0_3rdparty_8xb32-aa_in1k"


def answered(network, found, folder):
    """Return the logits [N, 1000] of mmpretrain's network for images through mmpretrain's pipeline."""
    steps = network._config.test_dataloader.dataset.pipeline
    pipeline = Compose([TRANSFORMS.build(step) for step in steps])
    path, logits = folder / "image.jpg", []
    for data in found.data:
        path.write_bytes(data)
        packed = pipeline({"img_path": str(path)})
        prepared = network.data_preprocessor({"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]})
        with torch.inference_mode():
            logits.append(network(prepared["inputs"], mode="tensor"))
    return torch.cat(logits).numpy()


def test_every_image_is_answered_as_mmpretrain_answers_it(capsys, tmp_path):
    torch.save(calibrated("b0", (224, 224)).state_dict(), tmp_path / "canonical.pth")
    effconvert.convert(tmp_path / "canonical.pth", tmp_path / "written.pth", to="mmpretrain")
    network = mmpretrain.get_model(CONFIG, pretrained=str(tmp_path / "written.pth")).eval()
    with torch.no_grad():  # or a few classes come first everywhere
        network.head.fc.bias -= torch.from_numpy(answered(network, images(18, KINDS), tmp_path).mean(0))
    torch.save({"state_dict": network.state_dict()}, tmp_path / "b0.pth")
    logits = answered(network, IMAGES, tmp_path)
    data = write_class_folders(tmp_path / "val", IMAGES, logits.argmax(1).tolist())
    result, found = validated(capsys, tmp_path / "b0.pth", data)
    assert_same_answers("mmpretrain b0", found, logits)
    assert hits(result) == (len(IMAGES), len(IMAGES), len(IMAGES))

"""Outputs of predict and features for a library's file equal the library's own, from the images' bytes on."""

import json
from types import SimpleNamespace

from helpers.frameworks import torchvision_repair  # noqa: F401

# isort: split
import mmpretrain
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

import effconvert
from effconvert.cli import main
from helpers.frameworks.figures import distance, record
from helpers.frameworks.torch_libraries import TOLERANCE, calibrated
from helpers.pictures import KINDS, PICTURES, random_files

SIZE = (224, 224)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of images of every kind, named so that their order is that of their making."""
    folder = tmp_path_factory.mktemp("images")
    for number, (_, data) in enumerate(random_files(len(KINDS), KINDS, seed=PICTURES)):
        (folder / f"{number:02}.jpg").write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def timms(tmp_path_factory):
    """timm's B0 and the file that it saved."""
    return saved(tmp_path_factory.mktemp("timm"), "timm", "tf_efficientnet_b0.pth", built_by_timm)


@pytest.fixture(scope="module")
def mmpretrains(tmp_path_factory):
    """mmpretrain's B0 and the file that it saved."""
    return saved(tmp_path_factory.mktemp("mmpretrain"), "mmpretrain", "b0.pth", built_by_mmpretrain)


def saved(folder, layout, name, built):
    """Have the library build its network, load calibrated weights and save them itself."""
    torch.save(calibrated("b0", SIZE).state_dict(), folder / "canonical.pth")
    effconvert.convert(folder / "canonical.pth", folder / "written.pth", to=layout)
    network = built(folder / "written.pth")
    torch.save({"state_dict": network.state_dict()}, folder / name)
    return SimpleNamespace(network=network, file=folder / name)


def built_by_timm(path):
    return timm.create_model("tf_efficientnet_b0", checkpoint_path=str(path)).eval()


def built_by_mmpretrain(path):
    return mmpretrain.get_model("efficientnet-b0_3rdparty_8xb32-aa_in1k", pretrained=str(path)).eval()


def prepared_by_timm(network, folder):
    """[N, 3, H, W] by timm's own transform."""
    options = resolve_data_config(pretrained_cfg=network.pretrained_cfg)
    transform = create_transform(**options, is_training=False)
    return torch.stack([transform(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())])


def predicted(capsys, file, folder):
    """[N, classes] of probabilities that the command gives."""
    main(["predict", str(file), str(folder), "--top", "1000", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert [image["path"] for image in document["images"]] == [str(path) for path in sorted(folder.iterdir())]
    probabilities = np.zeros((len(document["images"]), 1000))
    for row, image in zip(probabilities, document["images"], strict=True):
        row[[seen["index"] for seen in image["classes"]]] = [seen["probability"] for seen in image["classes"]]
    return probabilities


def extracted(file, folder, out, *levels):
    main(["features", str(file), str(folder), "--out", str(out), "--quiet", *levels])
    with np.load(out, allow_pickle=False) as arrays:
        return dict(arrays)


def assert_same_probabilities(case, found, reference):
    """Assert that each probability agrees within its own size, and that the images matter."""
    assert np.abs(reference[0] - reference[-1]).max() > 0.1 * np.ptp(reference)
    furthest = float(np.abs(found / reference - 1).max())
    assert record(case, "probabilities, each relative", furthest, f"<= {TOLERANCE:.0e}") <= TOLERANCE
    assert np.array_equal(found.argmax(1), reference.argmax(1))


def assert_same_features(case, found, reference):
    assert distance(reference[:1], reference[-1:]) > 0.1
    assert record(case, str(list(found.shape)), distance(found, reference), f"<= {TOLERANCE:.0e}") <= TOLERANCE


def test_predict_says_what_timm_says(capsys, timms, images):
    with torch.no_grad():
        theirs = timms.network(prepared_by_timm(timms.network, images)).double().softmax(1).numpy()
    assert_same_probabilities("predict, timm", predicted(capsys, timms.file, images), theirs)


def test_predict_says_what_mmpretrain_says(capsys, mmpretrains, images):
    inferencer = mmpretrain.ImageClassificationInferencer(mmpretrains.network)
    theirs = inferencer([str(path) for path in sorted(images.iterdir())])
    scores = np.stack([np.asarray(said["pred_scores"], np.float64) for said in theirs])
    found = predicted(capsys, mmpretrains.file, images)
    assert_same_probabilities("predict, mmpretrain", found, scores)


def test_features_are_timms_maps(tmp_path, timms, images):
    backbone = timm.create_model("tf_efficientnet_b0", features_only=True).eval()
    state = timms.network.state_dict()
    backbone.load_state_dict({name: state[name] for name in backbone.state_dict()})
    batch = prepared_by_timm(timms.network, images)
    with torch.no_grad():
        theirs = {f"level_{level}": feature_map for level, feature_map in enumerate([batch, *backbone(batch)])}
        theirs["head"] = timms.network.forward_features(batch)
        theirs["pooled"] = timms.network.forward_head(theirs["head"], pre_logits=True)
    levels = [word for level in (*range(6), "head", "pooled") for word in ("--level", str(level))]
    found = extracted(timms.file, images, tmp_path / "features.npz", *levels)
    assert len(theirs) == 8
    for name, feature_map in theirs.items():
        assert_same_features(f"features, timm {name}", found[name], feature_map.numpy())


def test_features_are_mmpretrains(tmp_path, mmpretrains, images):
    extractor = mmpretrain.FeatureExtractor(mmpretrains.network)
    paths = [str(path) for path in sorted(images.iterdir())]
    pooled = np.stack([np.asarray(vector) for (vector,) in extractor(paths)])
    found = extracted(mmpretrains.file, images, tmp_path / "pooled.npz")
    assert_same_features("features, mmpretrain pooled", found["features"], pooled)
    backbone = mmpretrains.network.backbone
    backbone.out_indices = (1, 2, 3, 4, 5, 6)
    levels = [word for level in (*range(6), "head") for word in ("--level", str(level))]
    found = extracted(mmpretrains.file, images, tmp_path / "levels.npz", *levels)
    with torch.no_grad():
        maps = backbone(torch.from_numpy(found["level_0"]))
    for level, feature_map in zip(("level_1", "level_2", "level_3", "level_4", "level_5", "head"), maps, strict=True):
        assert_same_features(f"features, mmpretrain {level}", found[level], feature_map.numpy())

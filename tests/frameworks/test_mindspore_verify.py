"""Right conversions of mindvision's and MindCV's own files are verified from the command line."""

import mindspore
import pytest

from helpers.deep import deep_but
from helpers.frameworks import mindspore_libraries  # noqa: F401  makes mindvision importable
from helpers.frameworks.torch_libraries import built, calibrated, write
from helpers.frameworks.verifying import assert_verified

SYMMETRIC, SAME = {"padding": "symmetric"}, {"padding": "tf-same"}


@pytest.mark.parametrize(
    ("layout", "variant", "facts", "size"),
    deep_but(
        [
            ("mindvision", "b0", SYMMETRIC | {"bn_eps": 1e-5}, 224),
            ("mindvision", "b2", SYMMETRIC | {"bn_eps": 1e-5}, 260),
            ("mindvision", "b5", SYMMETRIC | {"bn_eps": 1e-3}, 160),
            ("mindcv", "b0", SAME | {"bn_eps": 1e-5}, 224),
            ("mindcv", "b0", SAME | {"bn_eps": 1e-5, "in_channels": 4}, 96),
            ("mindcv", "b2", SAME | {"bn_eps": 1e-5}, 260),
            ("mindcv", "b5", SAME | {"bn_eps": 1e-3}, 160),
        ],
        lambda case: case[1] == "b0",
    ),
    ids=str,
)
def test_files_that_mindspore_saves(tmp_path, layout, variant, facts, size):
    network = built(write(calibrated(variant, (96, 96), **facts), tmp_path / "written.ckpt", layout))
    mindspore.save_checkpoint(network, str(tmp_path / "source.ckpt"))
    assert_verified(f"{layout} {variant}", tmp_path / "source.ckpt", "--size", size)

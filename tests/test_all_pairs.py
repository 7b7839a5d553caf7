"""Every pair of libraries: B0 goes from one to the other and back bit for bit, or the other cannot hold its facts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.errors import LayoutMismatch
from effconvert.maps.layouts import known_layouts
from helpers.checkpoints import read_all, write_checkpoint
from helpers.deep import deep_but
from helpers.library_files import library_tensors, save

WRITTEN = sorted(layout.name for layout in known_layouts() if layout.write and layout.name != "keras-positional")
AS_TENSORFLOW = {"tf-official", "timm", "lukemelas", "huggingface", "mmpretrain", "keras"}
SYMMETRIC = {"torchvision", "mindvision", "timm"}
# Who has a network for the facts of a library's own B0.
HOLDERS = {
    **dict.fromkeys(AS_TENSORFLOW, AS_TENSORFLOW),
    **dict.fromkeys(["torchvision", "mindvision"], SYMMETRIC),
    "mindcv": {"mindcv", "timm", "lukemelas", "huggingface", "mmpretrain"},
}
# TensorFlow to TensorFlow is refused: there is nothing to convert.
PAIRS = [(home, there) for home in WRITTEN for there in WRITTEN if {home, there} != {"tf-official"}]
SUFFIXES = {"tf-official": "", "huggingface": "", "mindvision": ".ckpt", "mindcv": ".ckpt", "keras": ".weights.h5"}


def path_in(folder: Path, layout: str) -> Path:
    return folder / f"{layout}{SUFFIXES.get(layout, '.pth')}"


@pytest.fixture(scope="module")
def own_file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A file of B0 with two classes as each library writes it."""
    folder, made = tmp_path_factory.mktemp("own"), {}

    def make(layout: str) -> Path:
        if layout not in made:
            tensors = library_tensors(layout)
            if layout == "tf-official":
                del tensors["global_step"]
                averages = {f"{name}/ExponentialMovingAverage": tensor for name, tensor in tensors.items()}
                made[layout] = write_checkpoint(folder / "tf", averages)
            else:
                made[layout] = path_in(folder, layout)
                effconvert.convert(save(folder / "saved.pth", tensors), made[layout], to=layout)
        return made[layout]

    return make


def weights_of(path: Path) -> dict[str, np.ndarray]:
    """Every tensor but raw twins, counters, and what a Keras network normalises with."""
    left_out = ("num_batches_tracked", "global_step")
    tensors = {name: tensor for name, tensor in read_all(path).items() if not name.endswith(left_out)}
    averaged = {name for name in tensors if name.endswith("/ExponentialMovingAverage")}
    return {name: tensors[name] for name in averaged or tensors if not name.startswith("normalization/")}


@pytest.mark.parametrize(("home", "there"), deep_but(PAIRS, lambda pair: bool({"timm", "tf-official"} & {*pair})))
def test_r2_there_and_back_is_bit_for_bit_wherever_the_facts_allow_it(
    own_file: Callable[[str], Path], tmp_path: Path, home: str, there: str
) -> None:
    source = own_file(home)
    if there not in HOLDERS[home]:
        with pytest.raises(LayoutMismatch, match=f"{there} cannot hold the facts of this b0"):
            effconvert.convert(source, path_in(tmp_path, there), to=there)
        return
    effconvert.convert(source, path_in(tmp_path, there), to=there)
    back = tmp_path / "back"
    back.mkdir()
    effconvert.convert(path_in(tmp_path, there), path_in(back, home), to=home)
    expected, found = weights_of(source), weights_of(path_in(back, home))
    assert found.keys() == expected.keys()
    assert len(found) >= 311
    for name, tensor in expected.items():
        assert found[name].tobytes() == tensor.tobytes(), name

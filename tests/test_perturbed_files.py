"""One tensor of a file is changed, the file is converted again, and one tensor of the result is another: the right one."""

from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.architecture.variants import VARIANTS
from effconvert.maps.layouts import find_layout, known_layouts
from effconvert.maps.moves import compile_layout
from helpers.checkpoints import read_all
from helpers.deep import deep_but
from helpers.library_files import Tensors, facts_of, library_tensors, save

LAYOUTS = {layout.name: next(iter(layout.variants)) for layout in known_layouts()}
OTHERS = [("timm", "cc-b0-4e"), ("timm", "edgetpu-s"), ("tf-official", "cc-b0-4e"), ("lukemelas", "lite0")]


def converted(folder: Path, tensors: Tensors, variant: str) -> Tensors:
    """Write a file of the library, convert it, and return what the result holds."""
    file = save(folder / "source.pth", tensors)
    effconvert.convert(file, folder / "converted.safetensors", variant=variant, force=True)
    return read_all(folder / "converted.safetensors")


def perturbed_targets(folder: Path, layout: str, variant: str, count: int) -> tuple[list[str], list[list[str]]]:
    """Change `count` tensors, one at a time; return the target that the map names for each, and those that changed."""
    tensors = library_tensors(layout, variant)
    before = converted(folder, tensors, variant)
    moves = compile_layout(find_layout(layout), VARIANTS[variant], facts_of(layout, variant, classes=2)).moves
    chosen = np.random.default_rng(0).choice(len(moves), count, replace=False)
    changed = []
    for number in chosen:
        name = moves[number].source
        after = converted(folder, tensors | {name: tensors[name] + 1}, variant)
        assert after.keys() == before.keys()
        changed.append([name for name in before if before[name].tobytes() != after[name].tobytes()])
    return [moves[number].target for number in chosen], changed


@pytest.mark.parametrize(
    ("layout", "variant"), deep_but([*LAYOUTS.items(), *OTHERS], lambda case: case in LAYOUTS.items())
)
def test_a_perturbed_source_tensor_changes_its_target_and_no_other(tmp_path: Path, layout: str, variant: str) -> None:
    expected, changed = perturbed_targets(tmp_path, layout, variant, 1)
    assert changed == [[target] for target in expected]


@pytest.mark.deep
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_of_thirty_perturbed_source_tensors_changes_its_target_and_no_other(tmp_path: Path, layout: str) -> None:
    expected, changed = perturbed_targets(tmp_path, layout, LAYOUTS[layout], 30)
    assert changed == [[target] for target in expected]

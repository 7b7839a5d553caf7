"""R1: each of B0's 311 tensors deleted, doubled, renamed, reshaped or retyped: no conversion, and the tensor is named.

Names, shapes and dtypes decide, so the files are lists of these. What is legal is not a fault: each tensor may have
another floating-point type, and its values stand.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from effconvert.architecture.canonical import CANONICAL
from effconvert.architecture.facts import Facts
from effconvert.architecture.variants import Variant
from effconvert.conversion.plan import make_plan
from effconvert.errors import LayoutMismatch
from effconvert.formats import Array, Checkpoint, TensorInfo
from effconvert.formats.checkpoint import BFLOAT16
from effconvert.identify import candidates
from effconvert.maps.language import Layout
from effconvert.maps.moves import Compiled, compile_layout
from effconvert.options import Options
from helpers import official_weights
from helpers.deep import deep_but
from helpers.library_files import library_tensors

Infos = dict[str, TensorInfo]
Fault = Callable[[Infos, str], Infos]

TENSORS = 311
SHARES = 12


class ListedCheckpoint(Checkpoint):
    """A checkpoint of which only names, shapes and dtypes are known, and that Keras normalises by nothing."""

    format = "a list"
    skipped: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}

    def __init__(self, infos: Infos) -> None:
        super().__init__()
        self.path = Path("b0")
        self.files = (self.path,)
        self.tensors = infos

    def read(self, name: str) -> Array:
        assert name.startswith("normalization/"), "a plan needs no weights"
        return np.ones(self.tensors[name].shape, self.tensors[name].dtype)


def deleted(infos: Infos, name: str) -> Infos:
    return {other: info for other, info in infos.items() if other != name}


def doubled(infos: Infos, name: str) -> Infos:
    """The same tensor, under a second name."""
    return infos | {f"{name}_1": TensorInfo(f"{name}_1", infos[name].shape, infos[name].dtype)}


def renamed(infos: Infos, name: str) -> Infos:
    return {(f"{name}_1" if other == name else other): info for other, info in infos.items()}


def reshaped(infos: Infos, name: str) -> Infos:
    """As many values, in another shape."""
    shape = infos[name].shape
    other = (*shape[:-2], shape[-2] * shape[-1]) if len(shape) > 1 else (1, *shape)
    return infos | {name: TensorInfo(name, other, infos[name].dtype)}


def retyped(infos: Infos, name: str) -> Infos:
    """As many bytes, of a type that no weight has."""
    return infos | {name: TensorInfo(name, infos[name].shape, np.dtype(np.int32))}


@pytest.fixture(autouse=True)
def _maps_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A map and a network give the same moves each time, and each of these files asks for all."""
    monkeypatch.setattr(candidates, "compile_layout", compiled_once)


def compiled_once(layout: Layout, variant: Variant, facts: Facts, root: str) -> Compiled:
    key = (layout.name, variant.name, facts, root)
    if key not in _COMPILED:
        _COMPILED[key] = compile_layout(layout, variant, facts, root=root)
    return _COMPILED[key]


_COMPILED: dict[object, Compiled] = {}
FAULTS = (deleted, doubled, renamed, reshaped, retyped)


@cache
def listed(layout: str) -> Infos:
    """Return what a file of B0 in a layout holds, of TensorFlow's the averages alone."""
    if layout == "tf-official":
        arrays: Mapping[str, Array] = official_weights.checkpoint("efficientnet-b0", averages_only=True)
    else:
        arrays = library_tensors(layout)
    return {name: TensorInfo(name, array.shape, array.dtype) for name, array in arrays.items()}


def weights_in(infos: Infos) -> list[str]:
    """Return the names of the network's tensors; what Keras normalises with is a fact and not one of them."""
    own = (name for name in infos if not name.startswith("normalization/"))
    return [name for name in own if infos[name].dtype == np.float32]


def refusal(infos: Infos) -> str:
    """Return why the file is not converted; "" if it is."""
    try:
        make_plan(ListedCheckpoint(infos), CANONICAL, Options())
    except LayoutMismatch as error:
        return str(error)
    return ""


@pytest.mark.parametrize("layout", ["tf-official", "timm"])
def test_r1_the_file_without_a_fault_is_converted(layout: str) -> None:
    infos = listed(layout)
    assert len(weights_in(infos)) == TENSORS
    assert refusal(infos) == ""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("share", deep_but(range(SHARES), lambda share: share == 0))
def test_r1_each_of_311_tensors_with_a_fault_is_refused_by_name(share: int, fault: Fault) -> None:
    """All shares together are all tensors."""
    infos = listed("tf-official")
    said = {name: refusal(fault(infos, name)) for name in weights_in(infos)[share::SHARES]}
    assert len(said) >= TENSORS // SHARES
    assert [name for name, words in said.items() if name not in words] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("layout", deep_but(["timm", "mmpretrain", "keras"], lambda layout: layout == "timm"))
def test_r1_so_is_every_fortieth_tensor_of_other_layouts(layout: str, fault: Fault) -> None:
    infos = listed(layout)
    said = {name: refusal(fault(infos, name)) for name in weights_in(infos)[::40]}
    assert [name for name, words in said.items() if name not in words] == []


@pytest.mark.parametrize("dtype", [np.float16, np.float64, BFLOAT16], ids=["float16", "float64", "bfloat16"])
def test_r1_a_tensor_of_another_floating_point_type_is_converted(dtype: type) -> None:
    infos = listed("tf-official")
    names = weights_in(infos)
    for name in names[::60]:
        assert refusal(infos | {name: TensorInfo(name, infos[name].shape, np.dtype(dtype))}) == ""

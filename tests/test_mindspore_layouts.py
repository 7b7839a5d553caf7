"""The layouts of MindSpore's libraries: names, shapes and order are those of the parameters that the libraries have."""

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import effconvert
from effconvert.architecture.canonical import default_facts, tensor_shapes
from effconvert.architecture.variants import VARIANTS
from effconvert.maps.layouts import find_layout
from effconvert.maps.moves import compile_layout, compile_moves
from helpers import mindspore_weights
from helpers.checkpoints import read_all, same
from helpers.library_files import library_tensors, save

LAYOUTS = ("mindvision", "mindcv", "mindspore-zoo-b0", "mindspore-zoo-b1", "mindspore-zoo-b2")
LIBRARIES = LAYOUTS[:2]
CASES = [(layout, variant) for layout in LAYOUTS for variant in find_layout(layout).variants]
# What MindSpore's and MindCV's optimizers put in front of a parameter's name, and beside the parameters.
SLOTS = """moments. mean_square. mean_grad. moment. moment1. moment2. moment3. prev_gradient. adam_m. adam_v. accum. stat.
lamb_m. lamb_v. lion_m. nadam_m. nadam_v. linear. vhat. accum_update. exp_avg. exp_avg_sq_ exp_avg_sq_row_ exp_avg_sq_col_
max_exp_avg_sq. exp_avg_sq. exp_inf. momentum_buf. prev. step_size. ax. ax_. mu_ eta_""".split()
COUNTERS = """momentum beta1_power beta2_power learning_rate learning_rate_group_0 fake_lr fake_param afactor_step
state_step step_t mu_schedule scale_sense current_iterator_step last_overflow_iterator_step global_step epoch_num step_num updates""".split()


def own_shapes(layout: str, variant: str) -> dict[str, tuple[int, ...]]:
    return mindspore_weights.all_shapes()[layout][variant]


def reason(layout: str, name: str) -> str:
    """Why the layout leaves `name` behind, "" where it does not."""
    return next((words for pattern, words in find_layout(layout).ignore.items() if fnmatchcase(name, pattern)), "")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_network_of_the_library_is_covered(layout: str) -> None:
    assert find_layout(layout).variants.keys() == mindspore_weights.all_shapes()[layout].keys()


@pytest.mark.parametrize(("layout", "variant"), CASES)
def test_every_canonical_tensor_is_filled_once_from_a_parameter_of_the_library(layout: str, variant: str) -> None:
    moves = compile_moves(find_layout(layout), VARIANTS[variant])
    own = own_shapes(layout, variant)
    assert {move.target: move.target_shape for move in moves} == tensor_shapes(VARIANTS[variant])
    assert {move.source: move.source_shape for move in moves}.items() <= own.items()
    assert len(moves) == len({move.source for move in moves})


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("variant", [f"b{number}" for number in range(8)])
def test_names_and_their_order_are_the_librarys(library: str, variant: str) -> None:
    compiled = compile_layout(find_layout(library), VARIANTS[variant])
    assert list(compiled.order) == list(own_shapes(library, variant))
    assert not compiled.fills


@pytest.mark.parametrize(("variant", "dead"), [("b1", 81), ("b2", 58), ("b3", 90)])
def test_every_dead_tensor_of_the_zoo_is_left_behind_with_a_reason(variant: str, dead: int) -> None:
    layout = "mindspore-zoo-b2" if variant == "b2" else "mindspore-zoo-b1"
    moved = {move.source for move in compile_moves(find_layout(layout), VARIANTS[variant])}
    left = [name for name in own_shapes(layout, variant) if name not in moved]
    assert len(left) == dead
    assert all("does not use" in reason(layout, name) for name in left)
    biases = [name for name in left if name.endswith(".bias")]
    assert not [name for name in biases if ".se." in name or name.startswith("head.6")]
    others = [name for name in left if name not in biases]
    assert all(name.startswith("blocks.0.") and ".expand_conv." in name for name in others)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_an_optimizer_adds_is_left_behind_by_its_prefix(layout: str) -> None:
    own = own_shapes(layout, next(iter(find_layout(layout).variants)))
    assert all(reason(layout, slot + name) == "optimizer slot" for slot in SLOTS for name in own)
    assert all(reason(layout, name) for name in COUNTERS)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_file_that_an_optimizer_filled_gives_its_weights_alone(tmp_path: Path, library: str) -> None:
    weights = library_tensors(library)
    small = {name: value for name, value in library_tensors(library, seed=1).items() if value.size < 3000}
    slots = {slot + name: value for slot in SLOTS for name, value in small.items()}
    counters = dict.fromkeys(COUNTERS, np.ones(1, np.float32))
    source = tmp_path / "trained.safetensors"
    safetensors.numpy.save_file(weights | slots | counters, source)
    report = effconvert.convert(source, tmp_path / "weights.safetensors")
    assert (report.moved, report.left_behind["optimizer slot"]) == (len(weights), len(slots))
    assert sum(report.left_behind.values()) == len(slots) + len(counters)
    effconvert.convert(save(tmp_path / "clean.pth", weights), tmp_path / "clean.safetensors")
    assert same(read_all(tmp_path / "weights.safetensors"), read_all(tmp_path / "clean.safetensors"))


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_parameter_of_the_network_is_left_behind(library: str) -> None:
    assert not [name for name in own_shapes(library, "b7") if reason(library, name)]


@pytest.mark.parametrize(
    ("layout", "variant", "bn_eps", "padding", "activation"),
    [
        ("mindvision", "b0", 1e-5, "symmetric", "silu"),
        ("mindvision", "b4", 1e-5, "symmetric", "silu"),
        ("mindvision", "b5", 1e-3, "symmetric", "silu"),
        ("mindvision", "b7", 1e-3, "symmetric", "silu"),
        ("mindcv", "b0", 1e-5, "tf-same", "silu"),
        ("mindcv", "b4", 1e-5, "tf-same", "silu"),
        ("mindcv", "b5", 1e-3, "tf-same", "silu"),
        ("mindcv", "b7", 1e-3, "tf-same", "silu"),
        ("mindspore-zoo-b0", "b0", 1e-5, "tf-same", "hswish"),
        ("mindspore-zoo-b1", "b1", 1e-3, "tf-same", "silu"),
        ("mindspore-zoo-b1", "b3", 1e-3, "tf-same", "silu"),
        ("mindspore-zoo-b2", "b2", 1e-3, "tf-same", "silu"),
    ],
)
def test_the_facts_are_those_of_the_librarys_network(
    layout: str, variant: str, bn_eps: float, padding: str, activation: str
) -> None:
    found = find_layout(layout).facts_of(variant, default_facts(VARIANTS[variant]))
    assert (found.bn_eps, found.padding, found.activation) == (bn_eps, padding, activation)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_zoo_is_read_and_the_libraries_are_written_too(layout: str) -> None:
    assert find_layout(layout).write == (layout in LIBRARIES)


@pytest.mark.parametrize("variant", ["b5", "b6", "b7"])
def test_mindvisions_large_networks_come_with_either_eps_under_the_same_names(variant: str) -> None:
    builds = [build for build in find_layout("mindvision").builds if not build.variants or variant in build.variants]
    assert [dict(build.facts) for build in builds if "classes" not in build.facts] == [{}, {"bn_eps": 1e-5}]
    assert not any(build.names for build in builds)  # a file's name tells nothing


def test_mindvisions_backbone_alone_lacks_its_prefix() -> None:
    facts = replace(default_facts(VARIANTS["b0"]), classes=0)
    layout = find_layout("mindvision")
    bare = compile_layout(layout, VARIANTS["b0"], facts, bare=True)
    assert ["backbone." + name for name in bare.order] == list(own_shapes("mindvision", "b0"))[:-2]


@pytest.mark.parametrize(
    ("layout", "variant", "target", "axis"),
    [
        ("mindspore-zoo-b0", "b0", "blocks.1.se.reduce.weight", (4, 96)),
        ("mindspore-zoo-b1", "b1", "blocks.2.se.reduce.bias", (1, 4, 1, 1)),
    ],
)
def test_the_zoos_other_axes_keep_every_value_in_its_place(
    layout: str, variant: str, target: str, axis: tuple[int, ...]
) -> None:
    (move,) = [move for move in compile_moves(find_layout(layout), VARIANTS[variant]) if move.target == target]
    values = np.arange(np.prod(axis)).reshape(axis)
    assert move.source_shape == axis
    assert np.array_equal(move.apply(values).reshape(-1), values.reshape(-1))

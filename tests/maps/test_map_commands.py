"""`effconvert map`: a map is checked, compiled and shown."""

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest

from effconvert.architecture.variants import VARIANTS
from effconvert.maps.documents import read_document
from effconvert.maps.layouts import add_maps, known_layouts
from effconvert.maps.map_schema import schema_text, shape_problems
from helpers.golden_moves import lines
from helpers.library_files import library_tensors, save
from helpers.maps.user_maps import MINE, write_map
from helpers.running import Ran

Run = Callable[..., Ran]
MAPS = sorted(Path(__file__).parents[2].joinpath("mappings").glob("*.toml"))


@pytest.mark.parametrize("path", MAPS, ids=[path.stem for path in MAPS])
def test_every_map_of_the_package_has_the_shape_of_the_schema(path: Path) -> None:
    assert shape_problems(read_document(path.read_bytes(), path.name).values) == ([], True)


def test_a_good_map_is_good(run: Run, tmp_path: Path) -> None:
    ran = run("map", "check", write_map(tmp_path))
    assert (ran.exit_code, "the map is good" in ran.out) == (0, True)


def test_problems_of_shape_and_of_meaning_are_told_at_once(run: Run, tmp_path: Path) -> None:
    bad = (
        MINE.replace('"lite0"]', '"lite9"]')
        .replace("title =", "titel =")
        .replace('"conv",   "first', '"cnv",   "first')
    )
    ran = run("map", "check", write_map(tmp_path, bad))
    assert ran.exit_code == 4
    assert "library.titel: unknown key; did you mean title?" in ran.err
    assert "variants: 'lite9' is unknown" in ran.err
    assert "layers.stem row 1: kind 'cnv' is not in [kinds]" in ran.err


def test_what_no_variant_can_be_compiled_with_is_told_with_the_variants(run: Run, tmp_path: Path) -> None:
    ran = run("map", "check", write_map(tmp_path, MINE.replace("gate.down", "gate.up")))
    assert ran.exit_code == 4
    assert "goes to both blocks.0.se.reduce.weight and blocks.0.se.expand.weight (b0)" in ran.err


def test_a_file_of_the_layout_is_read_by_the_map(run: Run, tmp_path: Path) -> None:
    mine = write_map(tmp_path)
    add_maps(mine)
    file = save(tmp_path / "own.pth", library_tensors("mine"))
    ran = run("map", "check", mine, file)
    assert ran.exit_code == 0
    assert "311 tensors have their place" in ran.out


def test_every_tensor_that_the_map_does_not_explain_is_named(run: Run, tmp_path: Path) -> None:
    mine = write_map(tmp_path)
    add_maps(mine)
    tensors = library_tensors("mine")
    tensors["body.3.gate.middle.weight"] = tensors.pop("body.3.gate.up.weight")
    ran = run("map", "check", mine, save(tmp_path / "own.pth", tensors))
    assert ran.exit_code == 4
    assert "body.3.gate.up.weight" in ran.err
    assert "body.3.gate.middle.weight" in ran.err


def test_a_file_of_another_layout_is_not_read_by_the_map(run: Run, tmp_path: Path) -> None:
    ran = run("map", "check", write_map(tmp_path), save(tmp_path / "timm.pth", library_tensors("timm")))
    assert ran.exit_code == 4
    assert "read as mine, the first convolution is 'first.conv.weight', which is missing" in ran.err


def test_the_schema_is_printed_for_editors(run: Run) -> None:
    assert json.loads(run("map", "check", "--schema").out) == json.loads(schema_text())


def test_the_schema_is_in_the_package() -> None:
    assert resources.files("effconvert.mappings").joinpath("map.schema.json").is_file()


@pytest.mark.parametrize("layout", [layout.name for layout in known_layouts()])
def test_moves_shows_every_tensor_once(run: Run, layout: str) -> None:
    variant = next(iter(next(each for each in known_layouts() if each.name == layout).variants))
    ran = run("map", "moves", layout, "--variant", variant, "--json")
    moves = json.loads(ran.out)["moves"]
    assert [move["target"] for move in moves] == [line.split()[-2] for line in lines(layout, variant)[1:]]


def test_moves_shows_how_axes_are_permuted(run: Run) -> None:
    ran = run("map", "moves", "tf-official")
    line = next(line for line in ran.out.splitlines() if "stem.conv.weight" in line)
    assert line.split() == [
        "efficientnet-b0/stem/conv2d/kernel",
        *"[3, 3, 3, 32]".split(),
        "3,2,0,1",
        *"stem.conv.weight [32, 3, 3, 3]".split(),
    ]


def test_an_unknown_variant_or_layout_is_refused_with_the_known(run: Run) -> None:
    assert (run("map", "moves", "tim").exit_code, run("map", "moves", "timm", "--variant", "b9").exit_code) == (2, 2)
    assert "did you mean timm?" in run("map", "moves", "tim").err


def test_no_variant_is_unknown_to_all_maps() -> None:
    assert {name for layout in known_layouts() for name in layout.variants} == set(VARIANTS)

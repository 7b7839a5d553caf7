"""A map alone makes a layout: a user's file works in every command as a built-in one does."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import effconvert
from effconvert.errors import BadMap, LayoutMismatch, MissingPath
from effconvert.maps.layouts import add_maps, known_layouts
from helpers.checkpoints import read_all, same
from helpers.image_sets import CLASSES, samples, write_class_folders
from helpers.library_files import library_tensors, save
from helpers.maps.user_maps import BUILD, MINE, write_map
from helpers.running import Ran

Run = Callable[..., Ran]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return write_map(tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save(tmp_path / "lukemelas.pth", library_tensors("lukemelas", "lite0"))


@pytest.fixture
def file(run: Run, tmp_path: Path, mine: Path, source: Path) -> Path:
    """A file in the user's layout."""
    ran = run("convert", source, "--map", mine, "--to", "mine", "--out", tmp_path / "own.pth")
    assert ran.exit_code == 0, ran.err
    return tmp_path / "own.pth"


def test_a_file_is_written_with_the_names_of_the_map(file: Path) -> None:
    names = read_all(file).keys()
    assert {"first.conv.weight", "body.0.deep.norm.num_batches_tracked", "answers.bias"} <= names


def test_every_tensor_comes_back(run: Run, tmp_path: Path, mine: Path, source: Path, file: Path) -> None:
    ran = run("convert", file, "--map", mine, "--to", "lukemelas", "--out", tmp_path / "back.pth")
    assert ran.exit_code == 0, ran.err
    assert same(read_all(tmp_path / "back.pth"), read_all(source))


def test_a_file_that_the_library_wrote_itself_is_recognised(run: Run, tmp_path: Path, mine: Path, file: Path) -> None:
    bare = save(tmp_path / "bare.pth", read_all(file))
    ran = run("inspect", bare, "--map", mine, "--json")
    assert json.loads(ran.out)["layout"] == "mine"


def test_diff_reads_it(run: Run, mine: Path, source: Path, file: Path) -> None:
    assert run("diff", source, file, "--map", mine).exit_code == 0


def test_a_folder_of_maps_serves_every_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, mine: Path, source: Path, file: Path
) -> None:
    monkeypatch.setenv("EFFCONVERT_ADDED_MAPS", "")
    monkeypatch.setenv("EFFCONVERT_MAPS", str(mine.parent))
    assert run("diff", source, file).exit_code == 0


def test_without_its_map_a_file_names_the_way_out(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path
) -> None:
    monkeypatch.setenv("EFFCONVERT_ADDED_MAPS", "")
    ran = run("convert", file, "--to", "timm", "--out", tmp_path / "x.pth")
    assert ran.exit_code == 4
    assert "layout 'mine' is unknown" in ran.err
    assert "--map" in ran.err


def test_the_canonical_file_says_which_layout_and_map_it_came_from(tmp_path: Path, mine: Path, source: Path) -> None:
    add_maps(mine)
    effconvert.convert(source, tmp_path / "own.pth", to="mine")
    bare = save(tmp_path / "bare.pth", read_all(tmp_path / "own.pth"))
    report = effconvert.convert(bare, tmp_path / "own.safetensors")
    layout = next(layout for layout in known_layouts() if layout.name == "mine")
    assert (report.layout, report.map_sha256) == ("mine", layout.sha256)


def test_that_no_preprocessing_is_known_is_said(run: Run, tmp_path: Path, mine: Path, file: Path) -> None:
    bare = save(tmp_path / "bare.pth", read_all(file))
    ran = run("convert", bare, "--map", mine, "--to", "canonical", "--out", tmp_path / "x.safetensors")
    assert ran.exit_code == 0, ran.err
    assert "how they are normalised, is not known" in ran.out + ran.err
    assert "--recipe" in ran.out + ran.err


def test_validate_asks_for_a_preprocessing_and_takes_one(run: Run, tmp_path: Path, mine: Path, file: Path) -> None:
    bare = save(tmp_path / "bare.pth", read_all(file))
    data = write_class_folders(tmp_path / "images", samples(CLASSES[:2]))
    asked = ["validate", "--data", data, bare, "--map", mine, "--classes", tmp_path / "classes.txt"]
    (tmp_path / "classes.txt").write_text("".join(f"{path.name},{path.name}\n" for path in sorted(data.iterdir())))
    refused = run(*asked)
    assert refused.exit_code == 4
    assert "choose one with --recipe" in refused.err
    taken = run(*asked, "--recipe", "timm", "--runs", tmp_path / "runs")
    assert taken.exit_code == 0, taken.err
    assert run("report", tmp_path / "runs" / "bare.npz", "--map", mine, "--out", tmp_path / "report").exit_code == 0
    assert "`mine`" in (tmp_path / "report" / "card.md").read_text()


def test_a_recipe_of_the_user_is_recorded(run: Run, tmp_path: Path, mine: Path, file: Path) -> None:
    bare = save(tmp_path / "bare.pth", read_all(file))
    out = tmp_path / "x.safetensors"
    ran = run("convert", bare, "--map", mine, "--recipe", "timm", "--to", "canonical", "--out", out, "--json")
    assert json.loads(ran.out)["recipe"]["name"] == "timm"
    assert json.loads(json.loads(run("inspect", out, "--json").out)["description"]["recipe"])["name"] == "timm"


def test_a_map_may_name_its_preprocessing(run: Run, tmp_path: Path, file: Path) -> None:
    named = write_map(tmp_path, MINE.replace('title = "My library"', 'title = "My library"\nrecipe = "timm"'))
    bare = save(tmp_path / "bare.pth", read_all(file))
    out = tmp_path / "x.safetensors"
    ran = run("convert", bare, "--map", named, "--to", "canonical", "--out", out, "--json")
    assert json.loads(ran.out)["recipe"]["name"] == "timm"


def test_the_code_of_its_builds_is_printed(tmp_path: Path, source: Path) -> None:
    add_maps(write_map(tmp_path, MINE + BUILD))
    report = effconvert.convert(source, tmp_path / "own.pth", to="mine")
    assert 'mine.EfficientNet("lite0", 1.0, 1.0, 1280, 0.2, eps=0.001, classes=2)' in report.network


def test_the_users_map_comes_before_a_built_in_one_of_the_same_names(tmp_path: Path, source: Path) -> None:
    names = (Path(effconvert.__file__).parents[1] / "mappings" / "lukemelas.toml").read_text()
    text = names.replace('layout    = "lukemelas"', 'layout = "fork"').replace("bn_eps  = 1e-3", "bn_eps = 1e-5")
    add_maps(write_map(tmp_path, text, "fork.toml"))
    report = effconvert.convert(source, tmp_path / "x.safetensors")
    assert (report.layout, report.facts["bn_eps"]) == ("fork", 1e-5)


def test_two_maps_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadMap, match="'timm': two maps have this name; give yours another name"):
        add_maps(write_map(tmp_path, MINE.replace('"mine"', '"timm"')))


def test_a_map_that_cannot_be_used_is_not_added(tmp_path: Path, mine: Path) -> None:
    with pytest.raises(BadMap):
        add_maps(mine, write_map(tmp_path, "schema = 1", "bad.toml"))
    assert "mine" not in [layout.name for layout in known_layouts()]


def test_a_map_that_is_not_there_is_a_usage_error(run: Run, tmp_path: Path, source: Path) -> None:
    with pytest.raises(MissingPath):
        add_maps(tmp_path / "none.toml")
    assert run("inspect", source, "--map", tmp_path / "none.toml").exit_code == 2


def test_a_folder_that_is_not_there_is_a_usage_error(run: Run, monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    monkeypatch.setenv("EFFCONVERT_MAPS", "/no/such/folder")
    ran = run("inspect", source)
    assert (ran.exit_code, "EFFCONVERT_MAPS" in ran.err) == (2, True)


def test_a_misspelled_layout_is_a_usage_error_with_the_nearest(run: Run, tmp_path: Path, source: Path) -> None:
    ran = run("convert", source, "--to", "tim", "--out", tmp_path / "x.pth")
    assert ran.exit_code == 2
    assert "did you mean timm?" in ran.err


def test_a_map_includes_what_stands_beside_it(tmp_path: Path, source: Path) -> None:
    shared, own = MINE[MINE.index("[layers]") :], MINE[: MINE.index("[layers]")]
    write_map(tmp_path, shared, "layers.toml")
    add_maps(write_map(tmp_path, own.replace('["pytorch"]', '["pytorch", "layers.toml"]')))
    assert effconvert.convert(source, tmp_path / "own.pth", to="mine").tensors == len(read_all(source))


def test_what_is_included_changes_the_hash_of_a_map(tmp_path: Path) -> None:
    own = MINE.replace('["pytorch"]', '["pytorch", "more.toml"]')
    hashes = []
    for reason in ("one", "another"):
        folder = tmp_path / reason
        folder.mkdir()
        write_map(folder, f'[ignore]\n"{reason}" = ["x.*"]\n', "more.toml")
        add_maps(write_map(folder, own.replace('"mine"', f'"{reason}"')))
        hashes += [layout.sha256 for layout in known_layouts() if layout.name == reason]
    assert len(set(hashes)) == 2


def test_a_map_that_includes_itself_is_refused(tmp_path: Path) -> None:
    text = MINE.replace('["pytorch"]', '["pytorch", "again.toml"]')
    write_map(tmp_path, 'include = ["again.toml"]', "again.toml")
    with pytest.raises(BadMap, match="includes itself"):
        add_maps(write_map(tmp_path, text))


def test_ignored_names_of_an_included_map_go_on(tmp_path: Path) -> None:
    add_maps(write_map(tmp_path, MINE + '\n[ignore]\n"optimizer slot" = ["mine.*"]\n').rename(tmp_path / "a.toml"))
    source = save(tmp_path / "x.pth", library_tensors("mine") | {"mine.slot": np.zeros(3, np.float32)})
    report = effconvert.convert(source, tmp_path / "x.safetensors")
    assert report.left_behind["optimizer slot"] == 1


def test_a_filled_tensor_of_an_included_map_that_no_kind_names_is_not_written(tmp_path: Path, source: Path) -> None:
    kinds = (
        '[kinds]\nbn = { weight = "weight", bias = "bias", running_mean = "running_mean", running_var = "running_var" }'
    )
    add_maps(write_map(tmp_path, MINE.replace("[layers]", f"{kinds}\n\n[layers]")))
    effconvert.convert(source, tmp_path / "own.pth", to="mine")
    assert not [name for name in read_all(tmp_path / "own.pth") if "num_batches_tracked" in name]


def test_a_layout_that_is_only_read_is_not_written(tmp_path: Path, source: Path) -> None:
    add_maps(write_map(tmp_path, MINE.replace("schema  = 1", "schema = 1\nwrite = false")))
    with pytest.raises(LayoutMismatch, match="layout mine can only be read"):
        effconvert.convert(source, tmp_path / "own.pth", to="mine")

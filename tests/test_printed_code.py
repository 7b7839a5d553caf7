"""The Python that is printed follows the recipe, and says what the library cannot do of it."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import effconvert
from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.conversion.loading_code import PrintedCode, crop_share, printed_code
from effconvert.conversion.targets import choose_target
from effconvert.maps.layouts import find_layout, known_layouts
from effconvert.options import Options
from effconvert.preprocessing.recipes import Recipe, gray, recipe_for, recipe_named, unknown
from effconvert.reference_tables.reading import recipe_tables
from helpers.library_files import library_tensors, save
from helpers.running import Ran

MAKING_GRAY = ("keras", "lukemelas", "timm", "torchvision")
SUFFIXES = {"keras": "x.weights.h5", "mindcv": "x.ckpt", "mindvision": "x.ckpt"}


def printed(layout: str, recipe: Recipe | None, variant: str = "b0", file: str = "") -> PrintedCode:
    facts = find_layout(layout).facts_of(variant, default_facts(VARIANTS[variant]))
    facts = replace(facts, in_channels=recipe.in_channels if recipe else 3)
    target = choose_target(layout, VARIANTS[variant], facts, Options(), "x")
    return printed_code(target, file or SUFFIXES.get(layout, "x.pth"), recipe, 224)


def own_recipes() -> list[tuple[str, str]]:
    written = {layout.name for layout in known_layouts() if layout.write}
    return [(layout, name) for name, table in recipe_tables().items() for layout in table["layouts"] if layout in written]  # fmt: skip


@pytest.mark.parametrize(("layout", "name"), own_recipes())
def test_a_library_carries_its_own_recipes_whole(layout: str, name: str) -> None:
    variants = [v for v in recipe_tables()[name].get("variants", ["b0"]) if v in find_layout(layout).variants]
    recipe = recipe_named(name, variants[0])
    code = printed(layout, recipe, variants[0])
    assert (code.not_carried, code.done, code.remark) == ({}, recipe, "")
    compile(code.text, layout, "exec")
    assert "{" not in code.text.replace("{}", "")


@pytest.mark.parametrize("layout", [layout.name for layout in known_layouts() if layout.write])
@pytest.mark.parametrize("name", list(recipe_tables()))
def test_every_recipe_has_code_in_every_library_and_keeps_its_numbers(layout: str, name: str) -> None:
    variant = next(iter(recipe_tables()[name].get("variants", ["b0"])))
    recipe = recipe_named(name, variant)
    code = printed(layout, recipe)
    compile(code.text, layout, "exec")
    assert code.done
    assert (code.done.size, code.done.mean, code.done.std) == (recipe.size, recipe.mean, recipe.std)
    changed = {part for part in ("decode", "resize") if getattr(code.done, part) != getattr(recipe, part)}
    if {code.done.decode, recipe.decode} == {"pil", "cv2"}:  # whose pixels are the same
        changed -= {"decode"}
    assert changed == code.not_carried.keys() - {"crop"}


def test_mean_and_std_are_those_of_the_recipe() -> None:
    code = printed("timm", recipe_named("tf-official-lite", "lite0"), "lite0")
    assert "mean=(0.498039216, 0.498039216, 0.498039216), std=(0.501960784," in code.transform
    assert "mean=[127.5, 127.5, 127.5]" in printed("mmpretrain", recipe_named("mmpretrain-01norm", "b0")).transform


def test_what_is_not_carried_is_said_in_one_line() -> None:
    code = printed("timm", recipe_named("tf-official", "b0"))
    assert code.remark == (
        "timm's preprocessing differs from the recipe: decode tf-integer-fast (here pil), resize tf1-bicubic "
        "(here pil-bicubic), crop tf-center before resizing, 32 pixels less (here torchvision-center of a shorter "
        "side of 256)"
    )


def test_the_same_part_of_the_image_is_taken_where_the_order_differs() -> None:
    done = printed("torchvision", recipe_named("mmpretrain", "b0")).done
    assert done
    assert (done.shorter_side, done.crop_padding) == (256, 0)
    done = printed("tf-official", recipe_named("torchvision", "b0")).done
    assert done
    assert (done.shorter_side, done.crop_padding) == (0, 32)


def test_a_file_that_the_library_does_not_load_gets_the_canonical_code() -> None:
    code = printed("timm", recipe_named("timm", "b0"), file="x.ckpt")
    assert code.network.endswith('effconvert.load_model("x.ckpt")  # timm itself loads .safetensors, .pth, .pt, .tar, .bin')  # fmt: skip
    assert code.library == "canonical"


@pytest.mark.parametrize("layout", MAKING_GRAY)
@pytest.mark.parametrize("name", list(recipe_tables()))
def test_images_are_made_gray_where_the_library_does_it_as_pillow(layout: str, name: str) -> None:
    variant = next(iter(recipe_tables()[name].get("variants", ["b0"])))
    recipe = gray(recipe_named(name, variant))
    code, colors = printed(layout, recipe), printed(layout, recipe_named(name, variant))
    compile(code.text, layout, "exec")
    assert code.done
    assert (code.done.decode, code.done.channels) == ("pil-gray", "gray")
    assert (code.done.mean, code.done.std) == (recipe.mean, recipe.std)
    assert code.not_carried.keys() == colors.not_carried.keys() - {"decode"}
    assert re.search("Grayscale|grayscale", code.transform)
    assert not re.search("Grayscale|grayscale", colors.transform)


def test_timms_own_preprocessing_of_gray_images_is_carried_whole() -> None:
    recipe = recipe_for("timm", "b0", in_channels=1)
    code = printed("timm", recipe)
    assert (code.not_carried, code.done) == ({}, recipe)
    assert "input_size=(1, 224, 224)" in code.transform


@pytest.mark.parametrize("layout", ["huggingface", "mindcv", "tf-official"])
def test_a_library_that_makes_no_image_gray_prints_no_transform_and_says_so(layout: str) -> None:
    code = printed(layout, recipe_for("timm", "b0", in_channels=1))
    assert (code.transform, code.done) == ("", None)
    assert code.remark == f"{layout}'s preprocessing differs from the recipe: channels gray (here none)"


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("file", ["x.pth", "x.ckpt"])
def test_channels_that_are_not_known_have_no_transform(channels: int, file: str) -> None:
    code = printed("timm", unknown(recipe_for("timm", "b0"), channels), file=file)
    assert (code.transform, code.done, code.remark) == ("", None, "")
    assert code.text == code.network


def test_without_a_recipe_no_transform_is_printed() -> None:
    assert printed("timm", None).text == printed("timm", None).network


@given(st.integers(32, 1000), st.floats(0.5, 1.2))
def test_a_share_gives_the_shorter_side_as_the_libraries_compute_it(size: int, share: float) -> None:
    shorter_side = math.floor(size / share)
    assert math.floor(size / crop_share(size, shorter_side)) == shorter_side


@pytest.mark.parametrize(("size", "shorter_side", "share"), [(224, 256, 0.875), (300, 331, 0.904), (288, 288, 1.0)])
def test_a_share_is_as_short_as_the_published_ones(size: int, shorter_side: int, share: float) -> None:
    assert math.floor(size / crop_share(size, shorter_side)) == shorter_side == math.floor(size / share)
    assert len(str(crop_share(size, shorter_side))) <= 5


def test_a_conversion_prints_and_records_it(tmp_path: Path, run: Callable[..., Ran]) -> None:
    source = save(tmp_path / "tf_efficientnet_b0.pth", library_tensors("timm"))
    out = run("convert", source, "--to", "mmpretrain", "--out", tmp_path / "x.pth").out
    assert "transform = Compose" in out
    found = json.loads(run("convert", source, "--to", "keras", "--out", tmp_path / "x.h5", "--json").out)
    assert (found["not_carried"], found["remark"]) == ({}, "")
    own = effconvert.convert(source, tmp_path / "own.safetensors")
    assert own.network.splitlines()[:2] == ["import effconvert", f'network = effconvert.load_model("{own.output}")']
    names: dict[str, object] = {}
    with pytest.warns(UserWarning, match="ambiguous|assumed"):
        exec(own.network, names)
    assert names["transform"].keywords["recipe"].to_dict() == own.recipe  # type: ignore[attr-defined]


def test_what_is_printed_can_be_copied_as_it_stands(tmp_path: Path, run: Callable[..., Ran]) -> None:
    source = save(tmp_path / "tf_efficientnet_b0.pth", library_tensors("timm"))
    lines = run("convert", source, "--to", "keras", "--out", tmp_path / "x.h5").out.splitlines()
    first = (
        lines.index("", next(number for number, line in enumerate(lines) if line.startswith("Load it in Python"))) + 1
    )
    copied = lines[first : lines.index("", first) if "" in lines[first:] else None]
    found = effconvert.convert(source, tmp_path / "x.h5", to="keras", force=True)
    assert "\n".join(copied) == found.network
    compile(found.network, "copied", "exec")


def test_what_is_given_up_for_keras_is_printed_as_the_network_that_takes_the_file(tmp_path: Path) -> None:
    source = save(tmp_path / "x.pth", library_tensors("torchvision"))
    report = effconvert.convert(source, tmp_path / "x.weights.h5", to="keras", allow_inexact=True)
    assert "keras.applications.EfficientNetB0(" in report.network
    assert "load_model" not in report.network

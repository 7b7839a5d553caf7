"""An image is prepared by a recipe exactly as in the recipe's library, or is refused by name."""

import dataclasses
import io
import os
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from effconvert.errors import DatasetProblem, LayoutMismatch, MissingPath, Unavailable
from effconvert.preprocessing.decoding import Window, decode
from effconvert.preprocessing.image_files import images_in
from effconvert.preprocessing.pipeline import pixel_type, pixels, preprocess
from effconvert.preprocessing.recipes import Recipe, official_recipe, recipe_for
from effconvert.preprocessing.resizing import RESIZES, UNROUNDED
from helpers.pictures import KINDS, file, orientation, picture, saved

GOLDEN = Path(__file__).parents[1] / "golden" / "preprocessing"
OFFICIAL = ["a_500x375", "b_375x500", "f_gray_481x321", "h_prog444_333x500"]
RECIPES = [
    official_recipe("b0"),
    official_recipe("lite0"),
    *(
        recipe_for(layout, "b0")
        for layout in ("mindvision", "mindcv", "mmpretrain", "timm", "torchvision", "huggingface")
    ),
]


def changed(recipe: Recipe, **values: Any) -> Recipe:
    return dataclasses.replace(recipe, **values)


def official(size: int, resize: str = "tf1-bicubic") -> Recipe:
    return changed(official_recipe("b0"), size=size, resize=resize)


def whole(height: int, width: int) -> Window:
    return Window(0, 0, height, width)


@pytest.mark.parametrize("name", OFFICIAL)
@pytest.mark.parametrize(
    ("size", "resize", "array"),
    [
        (224, "tf1-bicubic", "pad32_224_image"),
        (224, "tf1-bilinear", "pad32_224_image_bilinear"),
        (300, "tf1-bicubic", "pad32_300_image"),
    ],
)
def test_r11_official_tensorflow_images_are_equal_bit_for_bit(name: str, size: int, resize: str, array: str) -> None:
    found = pixels(GOLDEN / f"{name}.jpg", official(size, resize))
    with np.load(GOLDEN / f"{name}.npz") as golden:
        assert found.dtype == golden[array].dtype == np.float32
        assert np.array_equal(found[::4], golden[array])


@pytest.mark.parametrize("name", ["a_500x375", "f_gray_481x321"])
def test_tensorflows_whole_decode_is_equal_and_is_not_pillows(name: str) -> None:
    data = (GOLDEN / f"{name}.jpg").read_bytes()
    with np.load(GOLDEN / f"{name}.npz") as golden:
        assert np.array_equal(decode(data, "tf-integer-fast", whole)[::4], golden["decoded_full_uint8"])
    assert not np.array_equal(decode(data, "tf-integer-fast", whole), decode(data, "pil", whole))


def test_only_the_edges_of_a_window_depend_on_the_window() -> None:
    data = file("4:2:0", 90, 120)
    window = Window(7, 32, 60, 50)  # begins with a block, ends at an even column
    found, sliced = (
        decode(data, "tf-integer-fast", lambda *_: window),
        window.of(decode(data, "tf-integer-fast", whole)),
    )
    different = (found != sliced).any((0, 2))
    assert different[[0, -1]].all()
    assert not different[1:-1].any()


@pytest.mark.parametrize("name", ["mindcv", "mindvision"])
@pytest.mark.parametrize("kind", ["4:2:0", "gray", "PNG"])
def test_r11_mindspores_images_are_equal_bit_for_bit(name: str, kind: str) -> None:
    with np.load(GOLDEN / "mindspore.npz") as golden:
        found = pixels(golden[f"{kind} file"].tobytes(), recipe_for(name, "b0"))
        assert np.array_equal(found[::4], golden[f"{kind} {name}"])


@pytest.mark.parametrize("kind", KINDS)
def test_pillows_recipes_are_pillow(kind: str) -> None:
    data = file(kind, 97, 131)
    image = Image.open(io.BytesIO(data)).convert("RGB")
    resized = np.asarray(image.resize((345, 256), Image.Resampling.BICUBIC))
    assert np.array_equal(pixels(data, recipe_for("torchvision", "b0")), resized[16:240, 60:284])
    squashed = np.asarray(image.resize((224, 224), Image.Resampling.NEAREST))
    assert np.array_equal(pixels(data, recipe_for("keras", "b0")), squashed)


def test_opencv_turns_an_image_that_pillow_and_tensorflow_leave() -> None:
    image = picture(60, 90, 0)
    turned, plain = saved(image, exif=orientation(6)), saved(image)
    for recipe in RECIPES:
        expected = pixels(plain, recipe)
        if recipe.decode == "cv2":
            assert np.array_equal(decode(turned, "cv2", whole), np.rot90(decode(plain, "cv2", whole), -1))
        else:
            assert np.array_equal(pixels(turned, recipe), expected)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize(("height", "width"), [(9, 13), (40, 3), (225, 224), (301, 500)])
def test_any_size_comes_out_at_the_recipes(recipe: Recipe, height: int, width: int) -> None:
    found = preprocess(file("4:2:0", height, width), recipe)
    assert (found.shape, found.dtype) == ((3, 224, 224), np.float32)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_is_read_by_every_recipe(kind: str) -> None:
    found = {recipe.name: pixels(file(kind, 64, 48, seed=5), recipe) for recipe in RECIPES}
    assert all(image.std() > 10 for image in found.values())
    assert {image.dtype.name for image in found.values()} == {"uint8", "float32"}


def test_values_are_normalised_in_the_order_of_the_channels() -> None:
    recipe = changed(recipe_for("timm", "b0"), mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    data = file("PNG", 80, 80)
    image = pixels(data, recipe).astype(np.float64)
    for channels, order in (("rgb", [0, 1, 2]), ("bgr", [2, 1, 0])):
        expected = (image[..., order] - recipe.mean) / recipe.std
        assert np.allclose(preprocess(data, changed(recipe, channels=channels)), expected.transpose(2, 0, 1), atol=1e-5)


def test_a_path_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    path, recipe = tmp_path / "a.jpg", official_recipe("b0")
    path.write_bytes(file("4:2:0", 50, 70))
    assert np.array_equal(preprocess(path, recipe), preprocess(path.read_bytes(), recipe))
    assert np.array_equal(preprocess(path, recipe), preprocess(str(path), recipe))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_pixels_are_written_where_the_caller_says(recipe: Recipe) -> None:
    data, batch = file("4:2:0", 300, 400), np.zeros((3, 224, 224, 3), pixel_type(recipe))
    assert np.shares_memory(pixels(data, recipe, out=batch[1]), batch)
    assert np.array_equal(batch[1], pixels(data, recipe))
    assert not batch[[0, 2]].any()


@pytest.mark.parametrize(
    "out",
    [np.zeros((224, 224, 3)), np.zeros((3, 224, 224), np.uint8), np.zeros((3, 224, 224), np.uint8).transpose(1, 2, 0)],
)
def test_pixels_are_not_written_where_they_do_not_fit(out: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be uint8 \(224, 224, 3\), contiguous"):
        pixels(file("PNG", 30, 30), recipe_for("timm", "b0"), out=out)


@pytest.mark.parametrize("name", RESIZES)
def test_a_window_of_a_resize_is_the_same_part_of_the_whole(name: str) -> None:
    """At the end of a line, MindSpore computes in another way, so the window reaches it every other time."""
    random, dtype = np.random.default_rng(4), np.float32 if name in UNROUNDED else np.uint8
    for number in range(60):
        height, width, target_height, target_width = (int(length) for length in random.integers(2, 150, 4))
        window = Window(target_height // 3, target_width // 4, target_height // 2, (target_width + 1) // 2)
        if number % 2:
            window = window._replace(width=target_width - window.left)
        image = picture(height, width, number)
        entire, part = (
            np.empty((*size, 3), dtype) for size in ((target_height, target_width), (window.height, window.width))
        )
        RESIZES[name](image, target_height, target_width, whole(target_height, target_width), entire)
        RESIZES[name](image, target_height, target_width, window, part)
        assert np.array_equal(part, window.of(entire)), (image.shape, entire.shape, window)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_process_that_prepares_images_loads_what_the_recipe_needs_and_no_more(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(file("4:2:0", 300, 400))
    words = "; ".join(
        [
            "import sys",
            "from effconvert.preprocessing.pipeline import pixels",
            "from effconvert.preprocessing.recipes import Recipe",
            f"pixels({str(path)!r}, Recipe.from_dict({recipe.to_dict()!r}))",
            "print(*({'torch', 'pandas', 'cv2'} & set(sys.modules)))",
        ]
    )
    loaded = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout.split()
    needs_opencv = recipe.decode == "cv2" or recipe.resize in ("cv2-bicubic", "mindspore-bilinear")
    assert loaded == (["cv2"] if needs_opencv else [])


BROKEN = {
    "empty": b"",
    "text": b"not an image",
    "three bytes": b"\xff\xd8\xff",
    "truncated JPEG": file("4:2:0", 60, 60)[:-900],
    "truncated PNG": file("PNG", 60, 60)[:-900],
}


@pytest.mark.parametrize(
    ("recipe", "content"),
    [
        pytest.param(recipe, content, id=f"{recipe.name}-{what}")
        for recipe in RECIPES
        for what, content in BROKEN.items()
        if (recipe.decode, what) != ("cv2", "truncated PNG")  # OpenCV reads what is there, and so does mmpretrain
    ],
)
def test_a_broken_image_is_refused_by_name(tmp_path: Path, recipe: Recipe, content: bytes) -> None:
    path = tmp_path / "n01440764_9.JPEG"
    path.write_bytes(content)
    with pytest.raises(DatasetProblem, match=r"n01440764_9\.JPEG: ") as failure:
        preprocess(path, recipe)
    assert failure.value.exit_code == 7


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(DatasetProblem, match=path.name):
            preprocess(path, RECIPES[0])


@pytest.mark.parametrize("decoder", ["tf-integer-fast", "pil", "mindspore", "cv2"])
def test_an_enormous_image_is_refused_before_it_is_decoded(decoder: str) -> None:
    data = file("4:2:0", 64, 64)
    start = data.index(b"\xff\xc0")
    enormous = data[: start + 5] + b"\xff\xdc\xff\xdc" + data[start + 9 :]
    with pytest.raises(DatasetProblem):
        decode(enormous, decoder, whole)


@pytest.mark.parametrize("decoder", ["tf-integer-fast", "pil", "mindspore", "cv2"])
@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "WEBP"])
def test_an_image_of_few_bytes_and_many_pixels_is_refused_by_its_header(decoder: str, kind: str) -> None:
    """Headers that say 16,000 x 16,000 pixels, about the most that WebP can say."""
    data = bytearray(
        saved(np.zeros((9, 9, 3), np.uint8), kind, **dict[str, Any]({"lossless": True} if kind == "WEBP" else {}))
    )
    side = 16_000
    if kind == "PNG":
        data[16:24] = struct.pack(">II", side, side)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
    elif kind == "WEBP":
        data[21:25] = struct.pack("<I", (side - 1) | (side - 1) << 14)
    else:
        (start,) = struct.unpack_from("<I", data, 4)
        for tag in range(start + 2, start + 2 + 24, 12):  # width and height come first
            struct.pack_into("<HII", data, tag + 2, 4, 1, side)
    with pytest.raises(DatasetProblem, match="too large|exceeds limit"):
        decode(bytes(data), decoder, whole)


@pytest.mark.parametrize("decoder", ["tf-integer-fast", "pil", "mindspore", "cv2"])
def test_no_file_starts_another_program(decoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ghostscript, canary = tmp_path / "gs", tmp_path / "canary"
    ghostscript.write_text(f"#!/bin/sh\necho started > {canary}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # searched again
    data = saved(np.zeros((9, 9, 3), np.uint8), "EPS")
    with pytest.raises(DatasetProblem):
        decode(data, decoder, whole)
    assert not canary.exists()
    with suppress(OSError), Image.open(io.BytesIO(data)) as image:
        image.load()
    assert canary.exists()  # Pillow, left to itself, starts it


def test_a_single_pixel_is_too_small_for_tensorflows_crop() -> None:
    with pytest.raises(DatasetProblem, match="too small to crop: 1 x 1 pixels"):
        preprocess(file("4:2:0", 1, 1), official_recipe("b0"))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 3000), st.binary(min_size=1, max_size=4), st.sampled_from(RECIPES))
def test_damage_anywhere_is_read_or_refused(kind: str, place: int, damage: bytes, recipe: Recipe) -> None:
    data = file(kind, 24, 33)
    place %= len(data)
    try:
        found = pixels(data[:place] + damage + data[place + len(damage) :], recipe)
    except DatasetProblem:
        return
    assert found.shape == (224, 224, 3)


def test_everything_unknown_in_a_recipe_is_said_at_once() -> None:
    recipe = changed(recipe_for("timm", "b0"), decode="gif", crop="corner", resize="lanczos", shorter_side=100)
    with pytest.raises(LayoutMismatch) as failure:
        preprocess(b"", recipe)
    for words in (
        "decode='gif' is unknown; known are tf-integer-fast",
        "crop='corner'",
        "resize='lanczos'",
        "side of 100",
    ):
        assert words in str(failure.value)


@pytest.mark.parametrize(
    ("module", "package", "recipe"),
    [("PIL.Image", "pillow", 5), ("simplejpeg", "simplejpeg", 0), ("cv2", "opencv-python-headless", 4)],
)
def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, module: str, package: str, recipe: int) -> None:
    data = file("progressive" if package == "simplejpeg" else "PNG", 40, 40)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Unavailable, match=f'package {package}: pip install "effconvert\\[images\\]"'):
        preprocess(data, RECIPES[recipe])


def test_images_of_a_folder_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b/2.JPEG", "b/1.jpg", "a.PNG", "c/d/3.WebP", "c/e.bmp", "labels.txt", "x.npz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in images_in(tmp_path)]
    assert found == ["a.PNG", "b/1.jpg", "b/2.JPEG", "c/d/3.WebP", "c/e.bmp"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").touch()
    with pytest.raises(DatasetProblem, match=r"contains no images; looked for \.jpg, \.jpeg, \.png, \.webp, \.bmp"):
        images_in(tmp_path)
    with pytest.raises(DatasetProblem, match="not a folder"):
        images_in(tmp_path / "labels.txt")
    with pytest.raises(MissingPath):
        images_in(tmp_path / "none")

"""Code printed for MindCV and mindvision prepares images by the file's recipe, or says what it does instead."""

from helpers.frameworks import mindspore_libraries  # noqa: F401

# isort: split
import numpy as np
import pytest

from helpers.frameworks.printed_preprocessing import assert_as_said, jpeg, printed, recipes


@pytest.mark.parametrize("recipe", recipes().values(), ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("layout", ["mindcv", "mindvision"])
def test_the_printed_operations_are_the_recipe_but_for_what_is_said(tmp_path, layout, recipe):
    code, names = printed(layout, tmp_path / "model.ckpt", recipe), {}
    exec(code.transform, names)
    image = np.frombuffer(jpeg(), np.uint8)
    for step in names["transform"]:
        image = step(image)
    assert_as_said(layout, code, recipe, image)


@pytest.mark.parametrize(("layout", "name"), [("mindcv", "mindcv"), ("mindvision", "mindvision")])
def test_each_library_carries_its_own_recipe(layout, name):
    assert not printed(layout, "file.ckpt", recipes()[name]).not_carried

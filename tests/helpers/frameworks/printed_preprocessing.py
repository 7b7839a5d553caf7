"""Shared helpers of the tests of printed code: every known recipe, and a file for each library's network."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from effconvert.architecture.canonical import default_facts
from effconvert.architecture.variants import VARIANTS
from effconvert.conversion.loading_code import PrintedCode, printed_code
from effconvert.conversion.targets import Target
from effconvert.identify.library_builds import fitting_build
from effconvert.maps.layouts import find_layout
from effconvert.preprocessing.pipeline import preprocess
from effconvert.preprocessing.recipes import Recipe, recipe_named
from effconvert.reference_tables.reading import recipe_tables
from helpers.frameworks.figures import record
from helpers.pictures import file

PARTS = ("decode", "crop", "resize", "channels")
IMAGE = (331, 470)  # height and width of which no crop is a round share


@cache
def recipes() -> dict[str, Recipe]:
    """Every preprocessing that is known, at a size that its library has."""
    found = {}
    for name, table in recipe_tables().items():
        variants = table.get("variants", ["b0", "lite3"])
        found[name] = recipe_named(name, next((each for each in ("b0", "lite0") if each in variants), variants[0]))
    return found


def target_of(layout_name: str, variant: str = "b0") -> Target:
    """The library's usual network."""
    layout = find_layout(layout_name)
    facts = layout.facts_of(variant, default_facts(VARIANTS[variant]))
    build, _ = fitting_build(layout, VARIANTS[variant], facts, facts)
    return Target(layout, VARIANTS[variant], facts, build=build)


def printed(layout: str, path: Path, recipe: Recipe) -> PrintedCode:
    """Return the code printed for a file of `layout` whose recipe is `recipe`."""
    target = target_of(layout)
    target = replace(target, facts=replace(target.facts, in_channels=recipe.in_channels))
    return printed_code(target, str(path), recipe, recipe.size)


def jpeg() -> bytes:
    """A JPEG file."""
    return file("4:2:0", *IMAGE)


def assert_as_said(layout: str, code: PrintedCode, recipe: Recipe, theirs: np.ndarray) -> None:
    """Assert that the library's own transform gave `theirs` [C, H, W] as the recipe says, or as it says it does not.

    What is said not to be carried is indeed another value of the recipe, and only that.
    """
    assert code.done is not None
    reference = preprocess(jpeg(), code.done)
    assert theirs.shape == reference.shape == (recipe.in_channels, recipe.size, recipe.size)
    error = float(np.abs(theirs - reference).max() / np.ptp(reference))
    assert (
        record(f"{layout}, printed for {recipe.name}, {recipe.channels}", "normalised, max / range", error, "<= 2e-06")
        <= 2e-6
    )
    assert (code.done.size, code.done.mean, code.done.std) == (recipe.size, recipe.mean, recipe.std)
    if code.not_carried:
        assert code.remark.startswith(f"{layout}'s preprocessing differs from the recipe: ")
        assert np.abs(theirs - preprocess(jpeg(), recipe)).max() > 0 or code.not_carried.keys() <= {"decode", "crop"}
    else:
        assert np.array_equal(reference, preprocess(jpeg(), recipe))

"""Which training the weights of a file are of, and how their images are prepared: every command asks here."""

from collections.abc import Iterator
from dataclasses import replace

from effconvert.architecture.canonical import CANONICAL
from effconvert.architecture.facts import OUTSIDE
from effconvert.architecture.variants import Variant
from effconvert.errors import LayoutMismatch
from effconvert.identify.description import said_before
from effconvert.identify.identification import Identity
from effconvert.maps.language import Layout
from effconvert.maps.layouts import known_layouts
from effconvert.preprocessing.recipes import (
    UNKNOWN,
    Recipe,
    layouts_with_recipes,
    official_recipe,
    recipe_for,
    recipe_named,
    unknown,
)


def training_of(identity: Identity, weights: str | None = None) -> str | None:
    """Return which training the weights are of: as the converted file says, or else the user, or else other signs.

    weights: what the user says (`--weights`). None where nothing tells it.
    """
    return _converted(identity) or weights or identity.training


def recipe_of(identity: Identity, weights: str | None = None, named: str | None = None) -> Recipe:
    """Return the preprocessing of a file's images.

    weights: the training that the user names (`--weights`). named: a table of reference/recipes.toml that the user
    names (`--recipe`), which is taken whatever else is said.

    A file that was converted as a training keeps its own. Else the named training's is taken, or what the file or its
    companion records, or what the library evaluates the file's network with. The mean and std of Keras's networks are
    tensors of theirs, which no training that is named changes, and no training says any of other than three channels.
    Raises LayoutMismatch for weights or a recipe that are unknown.
    """
    if named:
        return recipe_named(named, identity.variant.name, identity.facts.in_channels)
    recorded = _recorded(identity)
    if recorded and (weights is None or _converted(identity)):
        return recorded
    found = _published_recipe(identity, weights)
    if recorded is None or (found.is_normalised and not _normalises(identity)):
        return found
    return replace(found, decode=recorded.decode, mean=recorded.mean, std=recorded.std, channels=recorded.channels)


def preparation_cautions(identity: Identity, weights: str | None) -> Iterator[str]:
    """Yield where `weights`, which the user names, and what the file records say different things, and which is taken.

    Raises LayoutMismatch for weights that are unknown.
    """
    recorded = _recorded(identity)
    if recorded is None or weights is None:
        return
    if said := _converted(identity):
        if said.lower() != weights.lower() and _published_recipe(identity, said) != _published_recipe(
            identity, weights
        ):
            yield f"the file says that its weights are of {said}, which is taken; --weights {weights} changes nothing"
    elif (taken := recipe_of(identity, weights)) != recorded:
        yield f"the file records {_in_words(recorded)}; --weights {weights} was given, so {_in_words(taken)} is taken"


def assumed_recipe(identity: Identity, weights: str | None = None) -> str:
    """Say which preprocessing is only assumed of a file, "" where something says it, or a training is known."""
    if weights or identity.companion.recipe or training_of(identity):
        return ""
    if _is_official(identity) and not has_trainings(identity.variant):
        return ""
    if identity.description:
        before = said_before(identity.description, "assumed_recipe")
        return f"when the file was converted, {before}" if before else ""
    recipe, network = recipe_of(identity), identity.network or identity.layout_name
    if recipe.name == UNKNOWN:
        return ""  # which is said of the channels
    taken = f"{recipe.name} at {recipe.size} px, the usual way of {network}"
    return f"nothing said how its images are prepared, and {taken}, was assumed"


def has_trainings(variant: Variant) -> bool:
    """Return whether official weights of more than one training are about, with different recipes."""
    return variant.scale_ends and not variant.experts and variant.se_ratio > 0


def channel_cautions(recipe: Recipe, target: Layout | None) -> Iterator[str]:
    """Yield what a user should know of images of other than three channels; `target` is the layout that is written."""
    writes_processor = target is not None and target.library.folder == "huggingface"
    count = f"{recipe.in_channels} {'channel' if recipe.in_channels == 1 else 'channels'}"
    if recipe.channels == UNKNOWN and recipe.is_normalised:
        yield f"how an image becomes the {count} of the network's input is not known, but how they are normalised"
    elif recipe.channels == UNKNOWN:
        yield (
            f"how an image becomes the {count} of the network's input, and how they are normalised, is not known: the "
            "recipe leaves them as they are given"
            + (" (--recipe names a preprocessing)" if recipe.in_channels == 3 else "")
        )
        if target and _normalises_itself(target):
            changes = f"{target.library.title}'s own normalization changes nothing"
            yield f"{changes}: the network takes what the source's does, not 0 to 255"
    elif recipe.channels == "gray":
        yield "its one channel is taken for the luma of an image"
    if writes_processor and not recipe.is_normalised:
        yield f"no preprocessor_config.json is written, which would have to say how an image becomes {count}"
    elif writes_processor and recipe.channels == "gray":
        yield "transformers' processor makes no color gray: it takes images that are gray themselves"


def _converted(identity: Identity) -> str | None:
    """Return the training that a file says which this project converted."""
    return identity.description.weights if identity.description else None


def _recorded(identity: Identity) -> Recipe | None:
    described = identity.description.recipe if identity.description else None
    return identity.companion.recipe or described


def _origin(identity: Identity) -> str:
    """Return the layout that the weights were published or trained in."""
    return identity.description.layout if identity.description else identity.layout_name


def _is_official(identity: Identity) -> bool:
    """Return whether the weights came from the network's authors, or from a file that does not say where from."""
    name = _origin(identity)
    return name == CANONICAL or any(layout.name == name and layout.library.official for layout in known_layouts())


def _normalises(identity: Identity) -> bool:
    return any(layout.name == _origin(identity) and _normalises_itself(layout) for layout in known_layouts())


def _normalises_itself(layout: Layout) -> bool:
    """Return whether the library's networks normalise pixels themselves."""
    return bool(layout.facts.get("normalization", OUTSIDE) != OUTSIDE)


def _published_recipe(identity: Identity, weights: str | None) -> Recipe:
    """Return the preprocessing that the library evaluates `weights` with; without them that of the file's training.

    Where that is not known either, it is that of the network: timm's own and those that it ported differ in it. A
    network that was never published has the usual one of its layout.
    """
    layout, variant, channels = _origin(identity), identity.variant.name, identity.facts.in_channels
    if layout not in layouts_with_recipes():
        return _recipe_of_the_map(layout, identity.variant.name, channels)
    try:
        return recipe_for(layout, variant, weights or identity.training or identity.network or None, channels)
    except LayoutMismatch:
        if weights:
            raise
        return recipe_for(layout, variant, in_channels=channels)


def _recipe_of_the_map(name: str, variant: str, channels: int) -> Recipe:
    """Return the preprocessing that a map itself names, or one that leaves images as they are given."""
    named = next((layout.library.recipe for layout in known_layouts() if layout.name == name), "")
    return (
        recipe_named(named, variant, channels)
        if named
        else replace(unknown(official_recipe(variant), channels), name=UNKNOWN)
    )


def _in_words(recipe: Recipe) -> str:
    mean = f" with mean {recipe.mean[0]:g}" if recipe.is_normalised else ""
    return f"{recipe.name} at {recipe.size} px{mean}"

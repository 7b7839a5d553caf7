"""The training and the preprocessing recipe of a file, decided here for every command."""

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
from effconvert.option_words import option
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
    """Return the training of the weights: from a converted file, else from the user, else from other evidence.

    weights: the user's choice (`--weights`). Returns None if the training is not known.
    """
    return _converted(identity) or weights or identity.training


def recipe_of(identity: Identity, weights: str | None = None, named: str | None = None) -> Recipe:
    """Return the preprocessing of a file's images.

    weights: the user's training (`--weights`). named: the user's table of reference/recipes.toml (`--recipe`), which
    always takes precedence.

    A converted file with a known training keeps its recipe. Else it is the recipe of the named training; else the one
    in the file or its companion; else the one with which the library evaluates the network. Mean and std of Keras's
    networks are tensors, which a named training does not change; and a training has no values for other than three
    channels. Raises LayoutMismatch for an unknown training or recipe.
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


# Of a file, and of one that was converted from it.
_PRESENT = "the file does not say its preprocessing"
_PAST = "its preprocessing was not known"


def preparation_cautions(identity: Identity, weights: str | None) -> Iterator[str]:
    """Yield a warning if the user's `weights` and the file disagree, with the one that is taken.

    Raises LayoutMismatch for unknown weights.
    """
    recorded = _recorded(identity)
    if recorded is None or weights is None:
        return
    given = option("weights", weights)
    if said := _converted(identity):
        if said.lower() != weights.lower() and _published_recipe(identity, said) != _published_recipe(
            identity, weights
        ):
            yield f"the file says that its weights are {said}, which is taken; {given} has no effect"
    elif (taken := recipe_of(identity, weights)) != recorded:
        yield f"the file records {_in_words(recorded)}; {given} was given, so {_in_words(taken)} is taken"


def assumed_recipe(identity: Identity, weights: str | None = None) -> str:
    """Return which preprocessing is only assumed for a file; "" if it is recorded, or if the training is known."""
    if weights or identity.companion.recipe or training_of(identity):
        return ""
    if _is_official(identity) and not has_trainings(identity.variant):
        return ""
    if identity.description:
        before = said_before(identity.description, "assumed_recipe")
        return f"when the file was converted, {before.replace(_PRESENT, _PAST)}" if before else ""
    recipe, network = recipe_of(identity), identity.network or identity.layout_name
    if recipe.name == UNKNOWN:
        return ""  # there is a warning about the channels
    taken = f"{recipe.name} at {recipe.size} px, the usual recipe of {network}"
    return f"{_PRESENT}: {taken}, was assumed"


def has_trainings(variant: Variant) -> bool:
    """Return whether there are official weights of several trainings, with different recipes."""
    return variant.scale_ends and not variant.experts and variant.se_ratio > 0


def channel_cautions(recipe: Recipe, target: Layout | None) -> Iterator[str]:
    """Yield warnings about images with other than three channels; `target` is the layout that is written."""
    writes_processor = target is not None and target.library.folder == "huggingface"
    count = f"{recipe.in_channels} {'channel' if recipe.in_channels == 1 else 'channels'}"
    if recipe.channels == UNKNOWN and recipe.is_normalised:
        yield f"how an image becomes the {count} of the network's input is not known, only the normalisation is"
    elif recipe.channels == UNKNOWN:
        yield (
            f"how an image becomes the {count} of the network's input, and how they are normalised, is not known: the "
            "recipe does not change them" + (f" (give {option('recipe')})" if recipe.in_channels == 3 else "")
        )
        if target and _normalises_itself(target):
            changes = f"{target.library.title}'s own normalization changes nothing"
            yield f"{changes}: the network has the same input as the source's, not 0 to 255"
    elif recipe.channels == "gray":
        yield "its one channel is assumed to be the luma of an image"
    if writes_processor and not recipe.is_normalised:
        yield f"preprocessor_config.json is not written, because it is not known how an image becomes {count}"
    elif writes_processor and recipe.channels == "gray":
        yield "transformers' image processor cannot make images gray: give it gray images"


def _converted(identity: Identity) -> str | None:
    """Return the training in a file that this project converted."""
    return identity.description.weights if identity.description else None


def _recorded(identity: Identity) -> Recipe | None:
    described = identity.description.recipe if identity.description else None
    return identity.companion.recipe or described


def _origin(identity: Identity) -> str:
    """Return the layout in which the weights were published or trained."""
    return identity.description.layout if identity.description else identity.layout_name


def _is_official(identity: Identity) -> bool:
    """Return whether the weights are from the network's authors, or from a file without a recorded origin."""
    name = _origin(identity)
    return name == CANONICAL or any(layout.name == name and layout.library.official for layout in known_layouts())


def _normalises(identity: Identity) -> bool:
    return any(layout.name == _origin(identity) and _normalises_itself(layout) for layout in known_layouts())


def _normalises_itself(layout: Layout) -> bool:
    """Return whether the library's networks normalise pixels themselves."""
    return bool(layout.facts.get("normalization", OUTSIDE) != OUTSIDE)


def _published_recipe(identity: Identity, weights: str | None) -> Recipe:
    """Return the preprocessing with which the library evaluates `weights`, or else the file's training.

    If that is not known either, it is the one of the network: it differs between timm's own networks and those that it
    ported. A network that was never published has the usual preprocessing of its layout.
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
    """Return the preprocessing that a map itself names, or one that does not change images."""
    named = next((layout.library.recipe for layout in known_layouts() if layout.name == name), "")
    return (
        recipe_named(named, variant, channels)
        if named
        else replace(unknown(official_recipe(variant), channels), name=UNKNOWN)
    )


def _in_words(recipe: Recipe) -> str:
    mean = f" with mean {recipe.mean[0]:g}" if recipe.is_normalised else ""
    return f"{recipe.name} at {recipe.size} px{mean}"

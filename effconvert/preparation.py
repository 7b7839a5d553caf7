"""How images are prepared for the network of a file that does not say it itself."""

from effconvert.errors import LayoutMismatch
from effconvert.identification import Identity
from effconvert.validate.recipes import Recipe, recipe_for


def published_recipe(identity: Identity, weights: str | None) -> Recipe:
    """Return the preprocessing that the library evaluates `weights` with; without them that of the file's training.

    Where that is not known either, it is that of the network: timm's own and those that it ported differ in it. A
    network that was never published has the usual one of its layout. Raises LayoutMismatch for weights that are
    unknown.
    """
    layout = identity.description.layout if identity.description else identity.layout_name
    try:
        return recipe_for(layout, identity.variant.name, weights or identity.training or identity.network or None)
    except LayoutMismatch:
        if weights:
            raise
        return recipe_for(layout, identity.variant.name)

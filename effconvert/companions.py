"""What stands beside the weights and tells more of their network: Hugging Face's config.json, Keras's normalization."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from effconvert.errors import LayoutMismatch, listing
from effconvert.facts import Facts
from effconvert.formats.checkpoint import Checkpoint
from effconvert.validate.recipes import Recipe, recipe_for
from effconvert.variants import Variant

_POSITIONAL = (
    "ambiguous: the file does not name its layers, as .weights.h5 of Keras before 3.6 do not; they are taken in the "
    "order in which keras.applications builds them"
)


@dataclass(frozen=True)
class Companion:
    """What a file's companions say: facts, the preprocessing, and what a user should know of them."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe | None = None
    cautions: tuple[str, ...] = ()


def companion(checkpoint: Checkpoint, layout: str, variant: Variant, facts: Facts) -> Companion:
    """Return what is said beside the weights in `checkpoint`; `facts` are what its tensors and its layout tell.

    Raises UnreadableCheckpoint for a companion that is damaged, LayoutMismatch for one that gainsays the tensors.
    """
    if layout == "huggingface":
        return _huggingface(checkpoint, variant, facts)
    if layout.startswith("keras"):
        found = _keras(checkpoint, variant)
        return replace(found, cautions=(*found.cautions, _POSITIONAL)) if layout == "keras-positional" else found
    return Companion()


def _huggingface(checkpoint: Checkpoint, variant: Variant, facts: Facts) -> Companion:
    from effconvert.formats.huggingface import contradictions, read_config

    said = read_config(checkpoint.files[0].parent)
    if said is None:
        return Companion(cautions=("no config.json stands beside the file: bn_eps is taken to be that of the library",))
    if problems := contradictions(said, variant, facts):
        raise LayoutMismatch(listing(f"{checkpoint.path}: its companion is another network's:", problems))
    return Companion({"bn_eps": said.facts.bn_eps, "activation": said.facts.activation}, said.recipe, said.cautions)


def _keras(checkpoint: Checkpoint, variant: Variant) -> Companion:
    from effconvert.formats.keras_graph import find_normalization

    find = getattr(checkpoint, "normalization", lambda: find_normalization(checkpoint, None))
    found = find()
    if found is None:
        words = "the file does not tell how its network normalises pixels; the usual way is assumed"
        return Companion(cautions=(words,))
    usual = recipe_for("keras", variant.name)
    recipe = replace(usual, mean=_three(found.mean), std=_three(found.std))
    cautions: tuple[str, ...] = ()
    if found.topology == "keras-imagenet" and not found.from_graph:
        cautions = (
            "its normalization holds std in place of the variance, as Keras's published weights do: taken for their "
            "graph, which divides once more; in a network built with weights=None they compute otherwise",
        )
    return Companion({"normalization": found.topology}, recipe, cautions)


def _three(values: tuple[float, ...]) -> tuple[float, float, float]:
    first, second, third = values
    return first, second, third

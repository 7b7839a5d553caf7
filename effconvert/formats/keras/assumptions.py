"""Says what is assumed of a Keras file that holds weights and no graph, beside what its tensors tell."""

import re
from collections.abc import Iterable

from effconvert.architecture.variants import Variant
from effconvert.formats.keras.config import KERAS, model_config
from effconvert.formats.keras.names import Unweighted
from effconvert.formats.keras.plain_graph import POOLING, is_inert

_COUNTED = re.compile(r"(.+?)(?:_\d+)?")
# What is there in every network, a session's second one with a number; and models within the model.
_ANYWHERE = {"inputlayer", "rescaling", "normalization", "functional", "sequential", "model"}
_MEAN = "avg_pool"  # how keras.applications calls what follows a network without a classifier, for pooling="avg"


def assumed_of_weights(variant: Variant, classifier: str, own: bool, unweighted: Iterable[Unweighted]) -> str:
    """Return in words what is assumed of a file of weights alone, "" where it is just what keras.applications writes.

    classifier: the layer, "" where there is none. own: whether a user put it there. unweighted: the layers without
    weights that the file lists.
    """
    strangers = _strangers(variant, classifier, unweighted)
    if not own and not strangers:
        return ""
    words = "its layers stand as in keras.applications"
    if own:
        words = (
            f"its classifier {classifier!r} reads the mean over the picture ({POOLING}), and nothing between computes"
        )
    if strangers:
        end = "classifier" if classifier else "features"
        words += f"; but it lists {', '.join(strangers)}: on the way to its {end}, those would make it another network"
    return f"the file holds weights and no graph. Assumed: {words} (a whole model, saved by model.save, would tell)"


def _strangers(variant: Variant, classifier: str, unweighted: Iterable[Unweighted]) -> list[str]:
    """Return the layers that compute and that keras.applications' network does not have."""
    expected = {layer["name"] for layer in model_config(variant, 1, KERAS)["config"]["layers"]}
    kinds = {layer["class_name"].lower() for layer in model_config(variant, 1, KERAS)["config"]["layers"]}
    found, rescalings = [], 0
    for layer in unweighted:
        name, kind = layer.name, (layer.kind or _plain(layer.name)).replace("_", "")
        rescalings += kind == "rescaling"
        if name in expected or is_inert(kind) or kind == POOLING.lower() or (not classifier and name == _MEAN):
            continue
        if (kind in _ANYWHERE and (kind != "rescaling" or rescalings == 1)) or (not name and kind in kinds):
            continue
        found.append(name or layer.kind)
    return found


def _plain(name: str) -> str:
    """Return the class that Keras calls a layer `global_max_pooling2d_1` after, in the same letters."""
    match = _COUNTED.fullmatch(name)
    plain = match[1] if match else name
    return "input_layer" if plain == "input" else plain

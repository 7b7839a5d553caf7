"""Comparability of a run with published accuracies: the training of its weights, and the obstacles."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from effconvert.architecture.facts import only_assumed
from effconvert.identify.weight_sets import RAW
from effconvert.option_words import flag, option
from effconvert.reference_tables.weights import weights_table
from effconvert.validate.data.classes import imagenet_classes
from effconvert.validate.data.imagenet import image_number, validation_labels
from effconvert.validate.evaluation.jobs import FAST, SUBSET
from effconvert.validate.predictions import NO_LABEL, OWN_LABELS, Predictions

# Its trainings are called `base` as tensorflow/tpu's are, and are others.
_MODEL_ZOO = "mindspore-zoo"
_TIMM = "timm"
_MANY = 100
FAST_LIMIT = 0.005  # share of predictions that the fast pipeline may change without a remark


def training(model: Mapping[str, Any]) -> str | None:
    """Return the training of a run's weights as reference/accuracy.csv names it, None where it is not known.

    model: the record of a run. A tag of timm is accepted with and without the name of its network. Weights that timm
    ported keep the names of their origin.
    """
    layout = _said(model, "layout")
    if not model.get("weights") or str(layout).startswith(_MODEL_ZOO):
        return None
    name = str(model["weights"]).lower()
    rows = [row for row in weights_table() if (row.framework, row.variant) == (_TIMM, model["variant"])]
    found = [row for row in rows if name in (row.weights, row.network, f"{row.network}.{row.weights}")]
    if layout == _TIMM:  # here a short name is timm's own
        found = found or [row for row in rows if name == row.short]
    if len(found) != 1:
        return None if found else name
    return found[0].short if found[0].network.startswith("tf_") else found[0].weights


def obstacle(predictions: Predictions) -> str:
    """Return why a run cannot be compared with published accuracies, "" where it can."""
    model, dataset = predictions.record["model"], predictions.record["dataset"]
    if not dataset.get("imagenet_validation"):
        return "the images are not ImageNet's validation set"
    if dataset.get("labels", OWN_LABELS) != OWN_LABELS and not _labels_are_imagenets(predictions):
        return f"the labels are those of {dataset['labels']}, not ImageNet's own"
    if dataset.get("competing"):
        return f"{_competition(dataset)}; published accuracies are for all classes"
    if dataset.get("chosen") == SUBSET:
        return f"the images were chosen by hand ({option('subset')}) and do not represent the whole set"
    if dataset.get("missing") and _is_lopsided(predictions):
        return "the images are from only a few classes and do not represent the whole set"
    if RAW in (model.get("taken"), _said(model, "taken")):
        return "the weights are raw; published accuracies belong to the averaged weights"
    if any("inexact" in options for options in _history(model)):
        return "the file was converted inexactly: its network does not compute the same as the published one"
    if str(_said(model, "layout")).startswith(_MODEL_ZOO):
        return "the weights are from MindSpore's model zoo, which published accuracies but not the files for them"
    if training(model) is None:
        return (
            f"the file does not say which training its weights are from (give {option('weights')} when you convert it)"
        )
    return ""


def _is_lopsided(predictions: Predictions) -> bool:
    """Return whether the images are from less than half as many classes as the same number drawn at random.

    With few images this says nothing, and the interval of their accuracy is wide anyway.
    """
    classes, images = len(imagenet_classes()), len(predictions)
    expected = classes * (1 - (1 - 1 / classes) ** images)
    return images >= _MANY and len(np.unique(predictions.labels[:, 0])) < expected / 2


def remarks(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield remarks on what changes an accuracy a little but does not prevent a verdict."""
    if record["dataset"].get("competing"):
        yield _competition(record["dataset"])
    rounded = [
        options["dtype"] for options in _history(record["model"]) if options.get("dtype", "float32") != "float32"
    ]
    if rounded:
        yield f"the file's weights are rounded to {rounded[0]}; the published ones are not"
    effect = record["computing"].get("effect", {})
    changed = effect.get("changed_top1", 0) / max(1, effect.get("images", 0))
    if changed > FAST_LIMIT:
        yield f"the fast pipeline changed {changed:.1%} of the predictions on a sample, more than {FAST_LIMIT:.1%}"
    if record["computing"].get("pipeline") == FAST and record["computing"].get("device") == "cuda":
        yield f"images were decoded by {record['computing'].get('decoder') or 'the CPU, because nvJPEG is missing'}"
    computed = record["computing"].get("dtype", "float32")
    if computed != "float32":
        yield f"computed in {computed}"
    if assumed := record["model"].get("assumed"):
        yield f"{only_assumed(assumed, 'its network')} ({option('facts')} tells)"


def _competition(dataset: Mapping[str, Any]) -> str:
    return (
        f"only the {dataset['competing']:,} classes that occur in the data could be predicted ({flag('only_present')})"
    )


def _labels_are_imagenets(predictions: Predictions) -> bool:
    """Return whether labels from a file equal ImageNet's own, as the development kit's do."""
    numbers = [image_number(str(name)) for name in predictions.names]
    if None in numbers or (predictions.labels[:, 1:] != NO_LABEL).any():
        return False
    return np.array_equal(predictions.labels[:, 0], validation_labels()[np.array(numbers) - 1])


def _history(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the options of every conversion of the file, the latest first."""
    options = _said(model, "options") or {}
    return [options, *options.get("earlier", ())]


def _said(model: Mapping[str, Any], name: str) -> Any:
    """Return a fact of the file that the weights were converted from, else of the file itself."""
    return (model.get("origin") or model).get(name)

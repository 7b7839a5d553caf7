"""Says whether a run can be compared with what was published: which training it is, and what stands against it."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from effconvert.architecture.facts import only_assumed
from effconvert.identify.weight_sets import RAW
from effconvert.reference_tables.weights import weights_table
from effconvert.validate.data.classes import imagenet_classes
from effconvert.validate.data.imagenet import image_number, validation_labels
from effconvert.validate.evaluation.jobs import FAST, SUBSET
from effconvert.validate.predictions import NO_LABEL, OWN_LABELS, Predictions

# Trainings of its own, though called `base` as tensorflow/tpu's are.
_MODEL_ZOO = "mindspore-zoo"
_TIMM = "timm"
_MANY = 100
FAST_LIMIT = 0.005  # of predictions that the fast pipeline may change before that is said


def training(model: Mapping[str, Any]) -> str | None:
    """Return what reference/accuracy.csv calls the training of a run's weights, None where it is not known.

    model: the record of a run. timm's tags are taken with and without their network; weights that it ported have the
    names of their origin.
    """
    layout = _said(model, "layout")
    if not model.get("weights") or str(layout).startswith(_MODEL_ZOO):
        return None
    name = str(model["weights"]).lower()
    rows = [row for row in weights_table() if (row.framework, row.variant) == (_TIMM, model["variant"])]
    found = [row for row in rows if name in (row.weights, row.network, f"{row.network}.{row.weights}")]
    if layout == _TIMM:  # where a short name is timm's own
        found = found or [row for row in rows if name == row.short]
    if len(found) != 1:
        return None if found else name
    return found[0].short if found[0].network.startswith("tf_") else found[0].weights


def obstacle(predictions: Predictions) -> str:
    """Say why a run cannot be compared with published accuracies, "" where it can."""
    model, dataset = predictions.record["model"], predictions.record["dataset"]
    if not dataset.get("imagenet_validation"):
        return "the images are not ImageNet's validation set"
    if dataset.get("labels", OWN_LABELS) != OWN_LABELS and not _labels_are_imagenets(predictions):
        return f"the labels are those of {dataset['labels']}, not ImageNet's own"
    if dataset.get("competing"):
        return f"{_competition(dataset)}; published accuracies are of all"
    if dataset.get("chosen") == SUBSET:
        return "the images were chosen by hand (--subset), and stand for no others"
    if dataset.get("missing") and _is_lopsided(predictions):
        return "the images that are there are of few classes, and stand for no others"
    if RAW in (model.get("taken"), _said(model, "taken")):
        return "the weights are raw; published accuracies belong to their averages"
    if any("inexact" in options for options in _history(model)):
        return "the file was converted inexactly: its network does not compute what the published one does"
    if str(_said(model, "layout")).startswith(_MODEL_ZOO):
        return "the weights are of MindSpore's model zoo, which published accuracies but no files that they belong to"
    if training(model) is None:
        return "the file does not say which training its weights are (--weights says it when it is converted)"
    return ""


def _is_lopsided(predictions: Predictions) -> bool:
    """Return whether the images are of fewer than half as many classes as so many drawn at random would be.

    Of a few images that tells nothing, and the interval of their accuracy is wide.
    """
    classes, images = len(imagenet_classes()), len(predictions)
    expected = classes * (1 - (1 - 1 / classes) ** images)
    return images >= _MANY and len(np.unique(predictions.labels[:, 0])) < expected / 2


def remarks(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what moves an accuracy a little, and is judged all the same."""
    if record["dataset"].get("competing"):
        yield _competition(record["dataset"])
    rounded = [
        options["dtype"] for options in _history(record["model"]) if options.get("dtype", "float32") != "float32"
    ]
    if rounded:
        yield f"the file's weights are rounded to {rounded[0]}, the published ones are not"
    effect = record["computing"].get("effect", {})
    changed = effect.get("changed_top1", 0) / max(1, effect.get("images", 0))
    if changed > FAST_LIMIT:
        yield f"the fast pipeline changed {changed:.1%} of the predictions on a sample, more than {FAST_LIMIT:.1%}"
    if record["computing"].get("pipeline") == FAST and record["computing"].get("device") == "cuda":
        yield f"images were decoded by {record['computing'].get('decoder') or 'the processor, for want of nvJPEG'}"
    computed = record["computing"].get("dtype", "float32")
    if computed != "float32":
        yield f"computed in {computed}"
    if assumed := record["model"].get("assumed"):
        yield f"{only_assumed(assumed, 'its network')} (--facts tells)"


def _competition(dataset: Mapping[str, Any]) -> str:
    return f"only the {dataset['competing']:,} classes that the data has competed (--only-present)"


def _labels_are_imagenets(predictions: Predictions) -> bool:
    """Return whether labels from a file are those that ImageNet's images have anyway, as the development kit's are."""
    numbers = [image_number(str(name)) for name in predictions.names]
    if None in numbers or (predictions.labels[:, 1:] != NO_LABEL).any():
        return False
    return np.array_equal(predictions.labels[:, 0], validation_labels()[np.array(numbers) - 1])


def _history(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the options of every conversion that the file has behind it, the latest first."""
    options = _said(model, "options") or {}
    return [options, *options.get("earlier", ())]


def _said(model: Mapping[str, Any], name: str) -> Any:
    """Return what the file says of its weights' origin, or else what it is itself."""
    return (model.get("origin") or model).get(name)

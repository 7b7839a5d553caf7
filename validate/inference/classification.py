"""Classification of a user's images: the most likely classes with their names."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effconvert.errors import LayoutMismatch
from effconvert.identify.identification import Identity
from effconvert.option_words import option
from effconvert.options import Options
from effconvert.validate.data.classes import IMAGENET, ClassList, imagenet_classes, read_classes
from effconvert.validate.evaluation.computing import Computing, choose_computing, exact_arithmetic
from effconvert.validate.inference.batches import named_images, read_batches
from effconvert.validate.subjects import Subject, check_finite, load_subject

SCHEMA = "effconvert/predictions-of-images/1"
_WITHOUT_AND_WITH_BACKGROUND = (1000, 1001)
_PLAIN = Options()


@dataclass(frozen=True)
class Names:
    """Names and ImageNet synsets of a network's outputs, in order; each is empty where unknown.

    words: where the names come from.
    """

    words: str
    names: tuple[str, ...] = ()
    synsets: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeenClass:
    """One output of a network: index, name and synset where known, softmax probability, logit."""

    index: int
    name: str | None
    synset: str | None
    probability: float
    logit: float


@dataclass(frozen=True)
class Classification:
    """The most likely classes of each image, the most likely first; images in the given order."""

    subject: Subject
    computing: Computing
    names: Names
    images: tuple[tuple[Path, tuple[SeenClass, ...]], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "schema": SCHEMA,
            **self.subject.record(),
            "computing": self.computing.record(),
            "names": self.names.words,
            "images": [
                {"path": str(path), "classes": [asdict(seen) for seen in classes]} for path, classes in self.images
            ],
        }


def classify(
    path: str | Path,
    images: Sequence[str | Path],
    *,
    options: Options = _PLAIN,
    key: bytes | None = None,
    recipe: str | None = None,
    size: int | None = None,
    classes: Path | None = None,
    top: int = 5,
    device: str = "cpu",
) -> Classification:
    """Return the `top` most likely classes of each image, by the network in the file at `path`.

    images: files and folders. classes: a file of names, instead of the weights' own or ImageNet's. For the others see
    `load_subject`. Logits are float32, the softmax is computed in float64. Of equal logits the lower index comes first.

    Raises MissingPath, the errors of `load_subject`, LayoutMismatch for a network without a classifier or a wrong
    number of names, DatasetProblem with every image that cannot be read, NumericMismatch where the network gives NaN.
    """
    files = named_images(images)
    computing = choose_computing(device, "float32")
    subject = load_subject(path, options, key, recipe, size)
    if not subject.file.facts.classes:
        raise LayoutMismatch(
            f"{path}: has no classifier, so it cannot predict classes; `effconvert features` gives its features"
        )
    names = names_of_outputs(subject.file.identity, classes)
    return Classification(subject, computing, names, tuple(_seen(subject, computing, files, names, top)))


def names_of_outputs(identity: Identity, file: Path | None = None) -> Names:
    """Return the names in `file`, else those that come with the weights, else ImageNet's if the number fits.

    The first of 1001 outputs is taken as the background class. Raises the errors of `read_classes`, LayoutMismatch for
    a file with a wrong number of names.
    """
    count = identity.facts.classes
    own = identity.description.labels if identity.description else identity.companion.labels
    if file:
        given = read_classes(file)
        if len(given) != count and (len(given), count) != _WITHOUT_AND_WITH_BACKGROUND:
            raise LayoutMismatch(f"{file}: names {len(given):,} classes, {identity.variant.name} has {count:,}")
        return _from_list(f"as {file} has them", given, count)
    if len(own) == count:
        return Names("as the weights' file has them", own)
    if count not in _WITHOUT_AND_WITH_BACKGROUND:
        return Names(
            f"none: the file does not name its {count:,} classes; give a file of names with {option('classes')}"
        )
    return _from_list("ImageNet's", imagenet_classes(), count)


def _from_list(words: str, classes: ClassList, count: int) -> Names:
    synsets = classes.identifiers if classes.name == IMAGENET else ()
    if len(classes) == count:
        return Names(words, classes.names, synsets)
    return Names(f"{words}, after the background class 0", ("background", *classes.names), ("", *synsets))


def _seen(
    subject: Subject, computing: Computing, files: Sequence[Path], names: Names, top: int
) -> Iterator[tuple[Path, tuple[SeenClass, ...]]]:
    network = None
    for paths, images, _ in read_batches(files, subject.recipe):
        network = network or subject.network().to(computing.device)  # only once images are readable
        with torch.inference_mode(), exact_arithmetic():
            logits = network(torch.from_numpy(images).to(computing.device)).cpu()
        check_finite(logits, paths, subject.file.path)
        for path, values in zip(paths, logits.numpy(), strict=True):
            yield path, tuple(_likeliest(values, names, top))


def _likeliest(logits: NDArray[np.float32], names: Names, top: int) -> Iterator[SeenClass]:
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    shares = exponentials / exponentials.sum()
    for index in np.argsort(-logits, kind="stable")[:top].tolist():
        name = names.names[index] if names.names else None
        synset = names.synsets[index] if index < len(names.synsets) else None
        yield SeenClass(index, name, synset or None, float(shares[index]), float(logits[index]))

"""Which classes a network sees in images: the likeliest ones with their names."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effconvert.errors import LayoutMismatch
from effconvert.identify.identification import Identity
from effconvert.options import Options
from effconvert.validate.asking.batches import named_images, read_batches
from effconvert.validate.data.classes import IMAGENET, ClassList, imagenet_classes, read_classes
from effconvert.validate.evaluation.computing import Computing, choose_computing, exact_arithmetic
from effconvert.validate.subjects import Subject, check_finite, subject

SCHEMA = "effconvert/predictions-of-images/1"
_WITHOUT_AND_WITH_BACKGROUND = (1000, 1001)
_PLAIN = Options()


@dataclass(frozen=True)
class Names:
    """Of a network's outputs, in their order: names, and ImageNet's synsets, either empty where there are none.

    words: whose they are.
    """

    words: str
    names: tuple[str, ...] = ()
    synsets: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeenClass:
    """One output of a network: which, its name and synset where known, its share of the softmax, and its logit."""

    index: int
    name: str | None
    synset: str | None
    probability: float
    logit: float


@dataclass(frozen=True)
class Classification:
    """What a network saw: of each image, in the given order, its likeliest classes, the likeliest first."""

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
    """Return the `top` likeliest classes of each image, as the network in the file at `path` sees it.

    images: files and folders. classes: a file of names, in place of the weights' own or ImageNet's. For the others see
    `subject`. The logits are float32, the softmax of them float64. Of equal logits the lower index comes first.

    Raises MissingPath, what `subject` does, LayoutMismatch for a network without a classifier or names of another
    number of classes, DatasetProblem with every image that cannot be read, NumericMismatch where the network gives NaN.
    """
    files = named_images(images)
    computing = choose_computing(device, "float32")
    asked = subject(path, options, key, recipe, size)
    if not asked.file.facts.classes:
        raise LayoutMismatch(
            f"{path}: has no classifier, and so tells no classes; `effconvert features` gives what it makes of images"
        )
    names = names_of_outputs(asked.file.identity, classes)
    return Classification(asked, computing, names, tuple(_seen(asked, computing, files, names, top)))


def names_of_outputs(identity: Identity, file: Path | None = None) -> Names:
    """Return the names in `file`, else those that come with the weights, else ImageNet's where there are as many.

    Of 1001 outputs the first is taken for the background. Raises what `read_classes` does, LayoutMismatch for a file
    of another number of names.
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
        return Names(f"none: the file has none for its {count:,} classes; --classes names a file of them")
    return _from_list("ImageNet's", imagenet_classes(), count)


def _from_list(words: str, classes: ClassList, count: int) -> Names:
    synsets = classes.identifiers if classes.name == IMAGENET else ()
    if len(classes) == count:
        return Names(words, classes.names, synsets)
    return Names(f"{words}, after a background, which is 0", ("background", *classes.names), ("", *synsets))


def _seen(
    asked: Subject, computing: Computing, files: Sequence[Path], names: Names, top: int
) -> Iterator[tuple[Path, tuple[SeenClass, ...]]]:
    network = None
    for paths, images, _ in read_batches(files, asked.recipe):
        network = network or asked.network().to(computing.device)  # not before images can be read
        with torch.inference_mode(), exact_arithmetic():
            logits = network(torch.from_numpy(images).to(computing.device)).cpu()
        check_finite(logits, paths, asked.file.path)
        for path, values in zip(paths, logits.numpy(), strict=True):
            yield path, tuple(_likeliest(values, names, top))


def _likeliest(logits: NDArray[np.float32], names: Names, top: int) -> Iterator[SeenClass]:
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    shares = exponentials / exponentials.sum()
    for index in np.argsort(-logits, kind="stable")[:top].tolist():
        name = names.names[index] if names.names else None
        synset = names.synsets[index] if index < len(names.synsets) else None
        yield SeenClass(index, name, synset or None, float(shares[index]), float(logits[index]))

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
from effconvert.model.network import EfficientNet
from effconvert.option_words import option
from effconvert.options import Options
from effconvert.validate.data.classes import IMAGENET, ClassList, imagenet_classes, read_classes
from effconvert.validate.engines.choice import EngineChoice, choose_engine, wanted_engine
from effconvert.validate.engines.names import AUTO, TORCH
from effconvert.validate.evaluation.computing import Computing, choose_computing, exact_arithmetic
from effconvert.validate.inference.batches import named_images, read_batches
from effconvert.validate.subjects import Subject, check_finite, load_subject

SCHEMA = "effconvert/predictions-of-images/1"
_WITHOUT_AND_WITH_BACKGROUND = (1000, 1001)
_CHECKED = 16  # images on which an engine is compared with torch
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
    engine: EngineChoice
    names: Names
    images: tuple[tuple[Path, tuple[SeenClass, ...]], ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        return {
            "schema": SCHEMA,
            **self.subject.record(),
            "computing": self.computing.record() | {"engine": self.engine.record()},
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
    engine: str = AUTO,
) -> Classification:
    """Return the `top` most likely classes of each image, by the network in the file at `path`.

    images: files and folders. classes: a file of names, instead of the weights' own or ImageNet's. engine: what
    computes the network on a CPU, as in `measure_accuracy`. For the others see `load_subject`. Logits are float32, the
    softmax is computed in float64. Of equal logits the lower index comes first.

    Raises MissingPath, the errors of `load_subject`, LayoutMismatch for a network without a classifier or a wrong
    number of names, DatasetProblem with every image that cannot be read, NumericMismatch where the network gives NaN or
    the named engine differs from torch, Unavailable for an engine that is not installed.
    """
    files = named_images(images)
    computing = choose_computing(device, "float32")
    wanted, reason = wanted_engine(engine, len(files), f"device {device}" if computing.on_gpu else "")
    subject = load_subject(path, options, key, recipe, size)
    if not subject.file.facts.classes:
        raise LayoutMismatch(
            f"{path}: has no classifier, so it cannot predict classes; `effconvert features` gives its features"
        )
    names = names_of_outputs(subject.file.identity, classes)
    network = _Network(subject, computing, wanted, EngineChoice(reason=reason))
    seen = tuple(_seen(network, files, names, top))
    return Classification(subject, computing, network.choice, names, seen)


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


@dataclass
class _Network:
    """A network that is loaded, and its engine chosen, with the first images. wanted: the engine, or `auto`."""

    subject: Subject
    computing: Computing
    wanted: str
    choice: EngineChoice
    loaded: EfficientNet | None = None

    def logits(self, images: NDArray[np.float32]) -> torch.Tensor:
        """Return float32 [N, classes] of normalised images, on the CPU."""
        if self.loaded is None:  # only once images are readable
            self.loaded = self.subject.network().to(self.computing.device)
            if self.wanted != TORCH:
                some = images[:_CHECKED]
                self.choice = choose_engine(self.wanted, self.loaded, some, lambda: self._torch(some).numpy())
        if self.choice.engine:
            return torch.from_numpy(self.choice.engine.logits(len(images), images.__getitem__))
        return self._torch(images)

    def _torch(self, images: NDArray[np.float32]) -> torch.Tensor:
        assert self.loaded is not None
        with torch.inference_mode(), exact_arithmetic():
            found: torch.Tensor = self.loaded(torch.from_numpy(images).to(self.computing.device)).cpu()
        return found


def _seen(
    network: _Network, files: Sequence[Path], names: Names, top: int
) -> Iterator[tuple[Path, tuple[SeenClass, ...]]]:
    for paths, images, _ in read_batches(files, network.subject.recipe):
        logits = network.logits(images)
        check_finite(logits, paths, network.subject.file.path)
        for path, values in zip(paths, logits.numpy(), strict=True):
            yield path, tuple(_likeliest(values, names, top))


def _likeliest(logits: NDArray[np.float32], names: Names, top: int) -> Iterator[SeenClass]:
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    shares = exponentials / exponentials.sum()
    for index in np.argsort(-logits, kind="stable")[:top].tolist():
        name = names.names[index] if names.names else None
        synset = names.synsets[index] if index < len(names.synsets) else None
        yield SeenClass(index, name, synset or None, float(shares[index]), float(logits[index]))

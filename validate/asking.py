"""A file whose network is asked about images: the preprocessing that it wants, and what to know of both."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from effconvert.validate.cost import parameter_count
from effconvert.validate.recipes import Recipe, recipe_named
from torch import Tensor

from effconvert.errors import NumericMismatch, Unavailable
from effconvert.model.loading import network_of
from effconvert.model.network import EfficientNet
from effconvert.options import Options
from effconvert.verification.network_files import NetworkFile, examine
from effconvert.version import VERSION


@dataclass(frozen=True)
class Subject:
    """A file of weights, the preprocessing of its images, what a user should know of both, and torch's device."""

    file: NetworkFile
    recipe: Recipe
    cautions: tuple[str, ...]
    device: str

    def network(self) -> EfficientNet:
        """Return the network on the device, in eval mode, to be computed in plain float32 and always alike."""
        if self.device != "cpu":
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cudnn.benchmark = False
            torch.backends.cudnn.deterministic = True
        return network_of(self.file).to(self.device)

    def record(self) -> dict[str, Any]:
        """Return network, recipe and how it is computed, in plain values."""
        identity, facts = self.file.identity, self.file.facts
        return {
            "model": {
                "file": str(self.file.path),
                "name": identity.network or identity.variant.name,
                "sha256": dict(self.file.sha256),
                "variant": identity.variant.name,
                "weights": identity.description.weights if identity.description else None,
                "taken": self.file.coverage.taken,
                "layout": identity.layout_name,
                "facts": facts.to_dict(),
                "classes": facts.classes,
                "parameters": parameter_count(identity.variant, facts),
            },
            "recipe": self.recipe.to_dict(),
            "cautions": list(self.cautions),
            "computing": {
                "device": self.device,
                "dtype": "float32",
                "versions": {"effconvert": VERSION, "numpy": np.__version__, "torch": torch.__version__},
            },
        }


def subject(
    path: str | Path, options: Options, key: bytes | None, recipe: str | None, size: int | None, device: str
) -> Subject:
    """Return what is asked: the network in the file at `path`, as `options` say how to read it.

    recipe: a name in reference/recipes.toml, in place of the file's own preprocessing. size: pixels, in place of the
    recipe's. device: `cpu` or `cuda`. Raises what `examine` does, LayoutMismatch for an unknown recipe, and Unavailable
    where there is no such device.
    """
    if device != "cpu" and not torch.cuda.is_available():
        raise Unavailable(
            f"--device {device}: torch {torch.__version__} finds no GPU here; leave it out to take the CPU"
        )
    file = examine(path, options, key)
    chosen = recipe_named(recipe, file.identity.variant.name) if recipe else file.recipe
    return Subject(file, chosen.at(size) if size else chosen, tuple(_cautions(file, recipe)), device)


def check_finite(found: Tensor, paths: list[Path], file: Path) -> None:
    """Raise NumericMismatch, with the images, where what the network in `file` gave [N, …] is not finite."""
    good = torch.isfinite(found).flatten(1).all(1).tolist()
    bad = [str(path) for path, finite in zip(paths, good, strict=True) if not finite]
    if bad:
        raise NumericMismatch(
            f"{file}: its network gives NaN or infinity of {', '.join(bad)}: weights or facts that are not its own"
        )


def _cautions(file: NetworkFile, recipe: str | None) -> Iterator[str]:
    identity = file.identity
    if identity.assumed:
        yield identity.assumption
    elif identity.layout is None and identity.description is None:
        yield f"the file carries no facts; assumed are {file.facts.in_words()} (--facts changes them)"
    yield from identity.companion.cautions
    if not (recipe or identity.description or identity.companion.recipe):
        yield (
            f"the file does not say how its images are prepared; {file.recipe.name} is the usual way of its layout, "
            "and --recipe names another"
        )

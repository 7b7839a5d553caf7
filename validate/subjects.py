"""A file of weights to run on images, with its preprocessing and the warnings about both."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effconvert.costs.quantities import parameter_count
from effconvert.deployed.files import GRAPH_NOT_RUN, framework_of_file
from effconvert.errors import LayoutMismatch, NumericMismatch
from effconvert.identify.preprocessing import assumed_recipe, preparation_cautions, training_of
from effconvert.option_words import option
from effconvert.options import Options
from effconvert.preprocessing.pipeline import check
from effconvert.preprocessing.recipes import Recipe, recipe_named
from effconvert.verification.network_files import NetworkFile, examine

if TYPE_CHECKING:
    from torch import Tensor

    from effconvert.model.network import EfficientNet


@dataclass(frozen=True)
class Subject:
    """A file of weights, the preprocessing of its images, and the warnings about both."""

    file: NetworkFile
    recipe: Recipe
    cautions: tuple[str, ...]

    @property
    def weights(self) -> str | None:
        """The training of the weights, None where unknown."""
        return training_of(self.file.identity, self.file.options.weights)

    def network(self) -> "EfficientNet":
        """Return the network in float32, in eval mode, on the CPU."""
        from effconvert.verification.network_files import network_of

        return network_of(self.file)

    def record(self) -> dict[str, Any]:
        """Return the network and the recipe as plain values."""
        identity, facts = self.file.identity, self.file.facts
        return {
            "model": {
                "file": str(self.file.path),
                "name": identity.network or identity.variant.name,
                "sha256": dict(self.file.sha256),
                "variant": identity.variant.name,
                "weights": self.weights,
                "taken": self.file.coverage.taken,
                "tensors": self.file.tensors_sha256,
                "layout": identity.layout_name,
                "facts": facts.to_dict(),
                "assumed": sorted(identity.assumed),
                "classes": facts.classes,
                "parameters": parameter_count(identity.variant, facts),
                "dtype": self.file.dtype,
                "origin": identity.description.origin() if identity.description else None,
            },
            "recipe": self.recipe.to_dict(),
            "cautions": list(self.cautions),
        }


def load_subject(
    path: str | Path, options: Options, key: bytes | None, recipe: str | None, size: int | None
) -> Subject:
    """Examine the file at `path`, as `options` say how to read it, and choose its preprocessing.

    recipe: a name in reference/recipes.toml, instead of the file's own preprocessing. size: pixels, instead of the
    recipe's. Raises the errors of `examine`, and LayoutMismatch for a recipe that is unknown or cannot work.
    """
    file = examine(path, options, key)
    try:
        chosen = recipe_named(recipe, file.identity.variant.name, file.facts.in_channels) if recipe else file.recipe
        check(chosen)
    except LayoutMismatch as error:
        raise LayoutMismatch(f"{path}: {error}") from error
    return Subject(file, chosen.at(size) if size else chosen, tuple(_cautions(file, recipe)))


def check_finite(found: "Tensor", paths: list[Path], file: Path) -> None:
    """Raise NumericMismatch with the images for which the output `found` [N, …] of the network is not finite."""
    good = found.isfinite().flatten(1).all(1).tolist()
    bad = [str(path) for path, finite in zip(paths, good, strict=True) if not finite]
    if bad:
        raise NumericMismatch(
            f"{file}: the network gives NaN or infinity for {', '.join(bad)}; are its weights or facts wrong?"
        )


def _cautions(file: NetworkFile, recipe: str | None) -> Iterator[str]:
    identity = file.identity
    if framework_of_file(file.path):
        yield GRAPH_NOT_RUN
    yield from identity.doubts
    yield from preparation_cautions(identity, file.options.weights)
    known = identity.description or identity.companion.recipe or file.options.weights
    if not (recipe or known) and identity.training:
        said = f"its {identity.told_by} says that its training is {identity.training}"
        yield f"{said}, so its images are prepared by the recipe {file.recipe.name}"
    elif not recipe and (words := assumed_recipe(identity, file.options.weights)):
        yield f"{words} ({option('recipe')} names another)"

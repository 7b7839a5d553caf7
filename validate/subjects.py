"""A file whose network is asked about images: the preprocessing that it wants, and what to know of both."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effconvert.costs.quantities import parameter_count
from effconvert.errors import LayoutMismatch, NumericMismatch
from effconvert.identify.preprocessing import assumed_recipe, preparation_cautions, training_of
from effconvert.options import Options
from effconvert.preprocessing.pipeline import check
from effconvert.preprocessing.recipes import Recipe, recipe_named
from effconvert.verification.network_files import NetworkFile, examine

if TYPE_CHECKING:
    from torch import Tensor

    from effconvert.model.network import EfficientNet


@dataclass(frozen=True)
class Subject:
    """A file of weights, the preprocessing of its images, and what a user should know of both."""

    file: NetworkFile
    recipe: Recipe
    cautions: tuple[str, ...]

    @property
    def weights(self) -> str | None:
        """Which training the weights are."""
        return training_of(self.file.identity, self.file.options.weights)

    def network(self) -> "EfficientNet":
        """Return the network in float32, in eval mode, on the CPU."""
        from effconvert.verification.network_files import network_of

        return network_of(self.file)

    def record(self) -> dict[str, Any]:
        """Return network and recipe in plain values."""
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


def subject(path: str | Path, options: Options, key: bytes | None, recipe: str | None, size: int | None) -> Subject:
    """Return what is asked: the network in the file at `path`, as `options` say how to read it.

    recipe: a name in reference/recipes.toml, in place of the file's own preprocessing. size: pixels, in place of the
    recipe's. Raises what `examine` does, and LayoutMismatch for a recipe that is unknown, or that nothing goes through.
    """
    file = examine(path, options, key)
    try:
        chosen = recipe_named(recipe, file.identity.variant.name, file.facts.in_channels) if recipe else file.recipe
        check(chosen)
    except LayoutMismatch as error:
        raise LayoutMismatch(f"{path}: {error}") from error
    return Subject(file, chosen.at(size) if size else chosen, tuple(_cautions(file, recipe)))


def check_finite(found: "Tensor", paths: list[Path], file: Path) -> None:
    """Raise NumericMismatch, with the images, where what the network in `file` gave [N, …] is not finite."""
    good = found.isfinite().flatten(1).all(1).tolist()
    bad = [str(path) for path, finite in zip(paths, good, strict=True) if not finite]
    if bad:
        raise NumericMismatch(
            f"{file}: its network gives NaN or infinity of {', '.join(bad)}: weights or facts that are not its own"
        )


def _cautions(file: NetworkFile, recipe: str | None) -> Iterator[str]:
    identity = file.identity
    yield from identity.doubts
    yield from preparation_cautions(identity, file.options.weights)
    known = identity.description or identity.companion.recipe or file.options.weights
    if not (recipe or known) and identity.training:
        said = f"its {identity.told_by} says that it is {identity.training}"
        yield f"{said}, whose images are prepared by {file.recipe.name}"
    elif not recipe and (words := assumed_recipe(identity, file.options.weights)):
        yield f"{words} (--recipe names another)"

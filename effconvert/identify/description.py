"""What a file of this project says of itself: variant, weights, facts, recipe, where they came from, a digest.

The texts stand in the metadata of a safetensors file, and in a record of their own in a .pth file.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from effconvert.architecture.facts import Facts, complete
from effconvert.architecture.variants import find_variant
from effconvert.errors import LayoutMismatch, UnreadableCheckpoint
from effconvert.formats.checkpoint import TensorInfo
from effconvert.preprocessing.recipes import Recipe
from effconvert.version import VERSION

_SCHEMA = "1"
_JSON_FIELDS = ("facts", "recipe", "options", "source")


@dataclass(frozen=True)
class Description:
    """A canonical file's account of itself.

    weights: which training, None where nobody said. taken: which set of weights of the source, `averages` or `raw`.
    options: what the command was told to do beyond the map. source: {file: its SHA-256}, and `url` where one was
    fetched. map_sha256: of the mapping file. target: the layout that the file itself is in. labels: names of the
    classes, empty where nobody said. coverage: how many tensors of the source were `moved`, and `left_behind`
    {reason: how many}; None in files that are older. In options, source and coverage, `earlier` is what the source said
    of itself, when it was converted before.
    """

    variant: str
    weights: str | None
    facts: Facts
    recipe: Recipe
    layout: str
    taken: str
    options: Mapping[str, Any]
    source: Mapping[str, Any]
    map_sha256: str
    target: str = "canonical"
    labels: tuple[str, ...] = ()
    coverage: Mapping[str, Any] | None = None

    @property
    def assumed(self) -> frozenset[str]:
        """The names of the facts that were only assumed."""
        names = self.options.get("assumed", ())
        return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()

    def to_metadata(self) -> dict[str, str]:
        """Return the description as texts. `format` is what other safetensors readers ask for."""
        plain = {
            "facts": self.facts.to_dict(),
            "recipe": self.recipe.to_dict(),
            "options": dict(self.options),
            "source": dict(self.source),
        }
        return {
            "format": "pt",
            "schema": _SCHEMA,
            "effconvert": VERSION,
            "variant": self.variant,
            "weights": self.weights or "",
            "layout": self.layout,
            "target": self.target,
            "taken": self.taken,
            "map_sha256": self.map_sha256,
            **({"labels": json.dumps(self.labels)} if self.labels else {}),
            **({"coverage": json.dumps(self.coverage, sort_keys=True)} if self.coverage is not None else {}),
            **{name: json.dumps(value, sort_keys=True) for name, value in plain.items()},
        }

    def origin(self) -> dict[str, Any]:
        """Return as plain values where the weights came from, and what was done to them."""
        return {
            "layout": self.layout,
            "taken": self.taken,
            "options": dict(self.options),
            "source": dict(self.source),
            "map_sha256": self.map_sha256,
            "coverage": None if self.coverage is None else dict(self.coverage),
        }


def read_description(metadata: Mapping[str, str], where: str) -> Description | None:
    """Return the description in `metadata`, None where there is none.

    Raises UnreadableCheckpoint for one that is not whole, or of a later schema.
    """
    if "effconvert" not in metadata:
        return None
    if metadata.get("schema") != _SCHEMA:
        raise UnreadableCheckpoint(
            f"{where}: its description has schema {metadata.get('schema')!r}, this version reads {_SCHEMA}"
        )
    try:
        parsed = {name: json.loads(metadata[name]) for name in _JSON_FIELDS}
        coverage = json.loads(metadata["coverage"]) if "coverage" in metadata else None
        tables = [*parsed.values(), {} if coverage is None else coverage]
        if "digest" not in metadata or not all(isinstance(table, dict) for table in tables):
            raise ValueError("no digest, or a table that is none")
        facts, recipe = complete(parsed["facts"]), Recipe.from_dict(parsed["recipe"])
        if recipe.in_channels != facts.in_channels:
            raise ValueError(f"a recipe of {recipe.in_channels} channels for a network of {facts.in_channels}")
        return Description(
            variant=find_variant(metadata["variant"]).name,
            weights=metadata["weights"] or None,
            facts=facts,
            recipe=recipe,
            layout=metadata["layout"],
            taken=metadata["taken"],
            options=parsed["options"],
            source=parsed["source"],
            map_sha256=metadata["map_sha256"],
            target=metadata.get("target", "canonical"),
            labels=tuple(str(label) for label in json.loads(metadata.get("labels", "[]"))),
            coverage=coverage,
        )
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, LayoutMismatch) as error:
        raise UnreadableCheckpoint(f"{where}: its description is damaged: {error}") from error


def said_before(description: Description, option: str) -> Any:
    """Return what the latest conversion behind a file that has `option` recorded of it, None where none has."""
    history = [description.options, *description.options.get("earlier", ())]
    return next((options[option] for options in history if option in options), None)


def digest(metadata: Mapping[str, str], infos: Sequence[TensorInfo], checksums: Mapping[str, int]) -> str:
    """Return a SHA-256 over the metadata (without the digest) and every tensor's name, dtype, shape and CRC32C.

    It finds accidents, such as a flipped bit or an edited fact; it is no signature.
    """
    texts = {name: text for name, text in metadata.items() if name != "digest"}
    tensors = [[info.name, str(info.dtype), list(info.shape), f"{checksums[info.name]:08x}"] for info in infos]
    return hashlib.sha256(json.dumps([texts, sorted(tensors)], sort_keys=True).encode()).hexdigest()

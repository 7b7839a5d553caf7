"""The description in a file of this project: variant, weights, facts, recipe, origin, a digest.

It is in the metadata of a safetensors file, and in a separate record of a .pth file.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from effconvert.architecture.facts import Facts, complete
from effconvert.architecture.variants import find_variant
from effconvert.budget import Budget
from effconvert.errors import LayoutMismatch, UnreadableCheckpoint
from effconvert.formats.checkpoint import TensorInfo
from effconvert.formats.strict_json import parse_json
from effconvert.preprocessing.recipes import Recipe
from effconvert.version import VERSION

_SCHEMA = "1"
_JSON_FIELDS = ("facts", "recipe", "options", "source")


@dataclass(frozen=True)
class Description:
    """The description that a converted file carries.

    weights: the training; None if it is not known. taken: the set of weights of the source, `averages` or `raw`.
    options: the options of the conversion. source: {file: its SHA-256}, and `url` if it was downloaded. map_sha256: the
    hash of the mapping file. target: the layout of this file. labels: names of the classes; empty if they are not
    known. coverage: the number of tensors that were `moved`, and `left_behind` {reason: number}; None in older files.
    In options, source and coverage, `earlier` is the same of the source, if that was converted before.
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
        """The names of the assumed facts."""
        names = self.options.get("assumed", ())
        return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()

    def to_metadata(self) -> dict[str, str]:
        """Return the description as strings. Other safetensors readers need `format`."""
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
        """Return the origin of the weights and their conversions, as plain values."""
        return {
            "layout": self.layout,
            "taken": self.taken,
            "options": dict(self.options),
            "source": dict(self.source),
            "map_sha256": self.map_sha256,
            "coverage": None if self.coverage is None else dict(self.coverage),
        }


def read_description(metadata: Mapping[str, str], where: str) -> Description | None:
    """Return the description in `metadata`, None if there is none.

    Raises UnreadableCheckpoint if it is incomplete, or has a later schema.
    """
    if "effconvert" not in metadata:
        return None
    if metadata.get("schema") != _SCHEMA:
        raise UnreadableCheckpoint(
            f"{where}: its description has schema {metadata.get('schema')!r}, but this version reads {_SCHEMA}"
        )
    try:
        budget = Budget(where, sum(map(len, metadata.values())))
        parsed = {name: parse_json(metadata[name], budget) for name in _JSON_FIELDS}
        coverage = parse_json(metadata["coverage"], budget) if "coverage" in metadata else None
        tables = [*parsed.values(), {} if coverage is None else coverage]
        if "digest" not in metadata or not all(isinstance(table, dict) for table in tables):
            raise ValueError("the digest is missing, or a value is not a table")
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
            labels=tuple(str(label) for label in parse_json(metadata.get("labels", "[]"), budget)),
            coverage=coverage,
        )
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, LayoutMismatch) as error:
        raise UnreadableCheckpoint(f"{where}: its description is damaged: {error}") from error


def said_before(description: Description, option: str) -> Any:
    """Return the `option` of the latest conversion in a file's history that has it; None if there is none."""
    history = [description.options, *description.options.get("earlier", ())]
    return next((options[option] for options in history if option in options), None)


def digest(metadata: Mapping[str, str], infos: Sequence[TensorInfo], checksums: Mapping[str, int]) -> str:
    """Return a SHA-256 over the metadata (without the digest) and every tensor's name, dtype, shape and CRC32C.

    It finds accidents, such as a flipped bit or an edited fact; it is not a signature.
    """
    texts = {name: text for name, text in metadata.items() if name != "digest"}
    tensors = [[info.name, str(info.dtype), list(info.shape), f"{checksums[info.name]:08x}"] for info in infos]
    return hashlib.sha256(json.dumps([texts, sorted(tensors)], sort_keys=True).encode()).hexdigest()

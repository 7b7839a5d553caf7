"""Rules for the values of a document: what a field means, and which values it may have, beside its type."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True)
class Rule:
    """What is said of a value in `Annotated[type, Rule(...)]`: words for a reader, and JSON Schema's own limits."""

    words: str = ""
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    longest: int | None = None
    fewest_items: int | None = None
    most_items: int | None = None


HASH = r"^[0-9a-f]{64}$"
ID = r"^[a-z0-9][a-z0-9._-]*$"

Count = Annotated[int, Rule(minimum=0)]
Pixels = Annotated[int, Rule("pixels", minimum=0)]
Percent = Annotated[float, Rule(minimum=0, maximum=100)]
Sha256 = Annotated[str, Rule(pattern=HASH, longest=64)]
Hashes = Annotated[Mapping[str, Sha256], Rule("{file name: its SHA-256}")]
FactValue = str | float | bool
FactTable = Annotated[Mapping[str, FactValue], Rule("the facts that the weights need of their network")]
Plain = Annotated[Any, Rule("a value as it is in its source file")]

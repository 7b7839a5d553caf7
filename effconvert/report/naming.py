"""Names of networks in a report: a name for people, and an id that is safe in file names and HTML."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from effconvert.identify.weight_sets import RAW
from effconvert.maps.layouts import known_library

_TRAININGS = {"aa": "AutoAugment", "ra": "RandAugment", "ns": "NoisyStudent", "advprop": "AdvProp"}
_LONGEST_ID = 60


def network_name(model: Mapping[str, Any]) -> str:
    """Return the name of a network: efficientnet-b7 (AutoAugment, raw weights)."""
    said = [_TRAININGS.get(model["weights"], model["weights"])] if model["weights"] else []
    origin = model.get("origin") or {}
    raw = ["raw weights"] if RAW in (model["taken"], origin.get("taken")) else []
    inside = ", ".join([*said, *raw])
    return f"efficientnet-{model['variant']}{f' ({inside})' if inside else ''}"


def library_name(layout: str) -> str:
    """Return the title of a layout's library; an unknown layout, e.g. of a user's map, keeps its own name."""
    library = known_library(layout)
    return library.title if library else layout


def library_url(layout: str) -> str:
    """Return the address of a layout's library, "" if unknown."""
    library = known_library(layout)
    return library.url if library else ""


def unique_ids(paths: Iterable[str]) -> Iterator[str]:
    """Yield an id for each file: its name without suffix, with a number if it is already used."""
    taken: set[str] = set()
    for path in paths:
        plain = _plain_id(PurePath(path).stem)
        numbered = (plain if number == 1 else f"{plain}-{number}" for number in range(1, len(taken) + 2))
        chosen = next(name for name in numbered if name not in taken)
        taken.add(chosen)
        yield chosen


def _plain_id(text: str) -> str:
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).lstrip("._-")
    return plain[:_LONGEST_ID].rstrip("._-") or "network"

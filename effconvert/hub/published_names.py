"""Names of published weights as users type them, `torchvision/b0/imagenet1k_v1`: which file each means."""

from dataclasses import dataclass

from effconvert.architecture.variants import find_variant
from effconvert.errors import LayoutMismatch, nearest_first
from effconvert.reference_tables.publishers import read_publishers
from effconvert.reference_tables.weights import FRAMEWORKS, Published, weights_table

_FORM = "write FRAMEWORK/VARIANT or FRAMEWORK/VARIANT/WEIGHTS, as torchvision/b0 or tensorflow/b0/ns"


@dataclass(frozen=True)
class Asked:
    """What a name asks for, as `hub.choose` takes it; weights: None where the name leaves them open."""

    framework: str
    variant: str
    weights: str | None


def read_name(name: str) -> Asked:
    """Return what `name` asks for: FRAMEWORK/VARIANT or FRAMEWORK/VARIANT/WEIGHTS; case does not matter.

    In place of the variant may stand the framework's own name of the network, with its tag: timm's
    `tf_efficientnet_b0.ns_jft_in1k`, Hugging Face's `google/efficientnet-b0`, which needs no framework before it.

    Raises LayoutMismatch that lists what there is, the nearest first.
    """
    parts = name.strip().strip("/").lower().split("/")
    if publisher := _publisher_of_library(parts[0]):
        parts = [publisher, *parts[1:], parts[0]] if len(parts) == 2 else [publisher, *parts[1:]]
    framework, rest = _framework(parts)
    if framework is None and (of_network := _of_network(list(weights_table()), "/".join(parts))):
        return of_network
    if framework is None:
        known = ", ".join(nearest_first(parts[0], FRAMEWORKS))
        raise LayoutMismatch(f"{name!r}: framework {parts[0]!r} is unknown; known are {known}; {_FORM}")
    rows = [row for row in weights_table() if row.framework == framework]
    return _of_network(rows, "/".join(rest)) or _of_variant(framework, rows, rest)


def _publisher_of_library(name: str) -> str | None:
    """Return who published the trainings that are called after the library `name`, None where none are."""
    rows = (row for row in weights_table() if row.weights == name)
    return next((row.framework for row in rows if row.framework != name), None)


def _framework(parts: list[str]) -> tuple[str | None, list[str]]:
    """Return the framework that the first one or two parts name, and the parts after it."""
    for count in (2, 1):
        asked = "/".join(parts[:count]).replace("_", "-")
        if len(parts) >= count:
            found = (name for name in FRAMEWORKS if asked in (name, *read_publishers()[name].names))
            if known := next(found, None):
                return known, parts[count:]
    return None, parts


def _of_network(rows: list[Published], name: str) -> Asked | None:
    """Return what a network's own name asks for, its tag after a dot or a slash; None where no network is called so."""
    for row in rows:
        network = row.network.lower()
        if name == network:
            siblings = {other.network for other in rows if other.place == row.place}
            return Asked(*row.place, None if siblings == {row.network} else network)
        if name.startswith((f"{network}.", f"{network}/")):
            tag = name[len(network) + 1 :]
            tags = {other.short: other.weights for other in rows if other.network == row.network}
            return Asked(*row.place, f"{network}.{tags.get(tag, tag)}")
    older = next((row for row in rows if row.older_name and name == row.older_name.lower()), None)
    return Asked(*older.place, f"{older.network}.{older.weights}") if older else None


def _of_variant(framework: str, rows: list[Published], parts: list[str]) -> Asked:
    published = list(dict.fromkeys(row.variant for row in rows))
    if not parts:
        raise LayoutMismatch(f"{framework}: names no variant; it published {', '.join(published)}; {_FORM}")
    try:
        variant = find_variant(parts[0]).name
    except LayoutMismatch as error:
        known = ", ".join(nearest_first(parts[0], published))
        raise LayoutMismatch(f"variant {parts[0]!r} is unknown; {framework} published {known}") from error
    return Asked(framework, variant, "/".join(parts[1:]) or None)

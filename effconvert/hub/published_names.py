"""Names of published weights as users type them, such as `torchvision/b0/imagenet1k_v1`."""

from dataclasses import dataclass

from effconvert.architecture.variants import find_variant
from effconvert.errors import UnknownName, known_names
from effconvert.reference_tables.publishers import publisher_called
from effconvert.reference_tables.weights import FRAMEWORKS, Published, weights_table

_FORM = "write FRAMEWORK/VARIANT or FRAMEWORK/VARIANT/WEIGHTS, such as torchvision/b0 or tensorflow/b0/ns"


@dataclass(frozen=True)
class Asked:
    """A request for published weights; weights: None if the name does not tell them."""

    framework: str
    variant: str
    weights: str | None


def read_name(name: str) -> Asked:
    """Parse `name`: FRAMEWORK/VARIANT or FRAMEWORK/VARIANT/WEIGHTS; case does not matter.

    The framework's own name of the network, with its tag, may replace the variant: timm's
    `tf_efficientnet_b0.ns_jft_in1k`, or Hugging Face's `google/efficientnet-b0`, which needs no framework before it.

    Raises UnknownName, which lists the existing names.
    """
    parts = name.strip().strip("/").lower().split("/")
    if publisher := _publisher_of_library(parts[0]):
        parts = [publisher, *parts[1:], parts[0]] if len(parts) == 2 else [publisher, *parts[1:]]
    framework, rest = _framework(parts)
    if framework is None and (of_network := _of_network(list(weights_table()), "/".join(parts))):
        return of_network
    if framework is None:
        known = known_names(parts[0], FRAMEWORKS)
        raise UnknownName(f"{name!r}: framework {parts[0]!r} is unknown; {known}; {_FORM}")
    rows = [row for row in weights_table() if row.framework == framework]
    return _of_network(rows, "/".join(rest)) or _of_variant(framework, rows, rest)


def _publisher_of_library(name: str) -> str | None:
    """Return the publisher of the weights that are named after the library `name`; None if there are none."""
    rows = (row for row in weights_table() if row.weights == name)
    return next((row.framework for row in rows if row.framework != name), None)


def _framework(parts: list[str]) -> tuple[str | None, list[str]]:
    """Return the framework in the first one or two parts, and the parts after it."""
    for count in (2, 1):
        asked = "/".join(parts[:count]).replace("_", "-")
        if len(parts) >= count and (known := publisher_called(asked)) in FRAMEWORKS:
            return known, parts[count:]
    return None, parts


def _of_network(rows: list[Published], name: str) -> Asked | None:
    """Parse a network's own name, with its tag after a dot or a slash; None if no network has this name."""
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
        raise UnknownName(f"{framework}: the variant is missing; it published {', '.join(published)}; {_FORM}")
    try:
        variant = find_variant(parts[0]).name
    except UnknownName as error:
        known = known_names(parts[0], published, f"{framework} published")
        raise UnknownName(f"variant {parts[0]!r} is unknown; {known}") from error
    return Asked(framework, variant, "/".join(parts[1:]) or None)

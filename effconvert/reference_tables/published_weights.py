"""Published weights of a variant, and the choice among them."""

from effconvert.architecture.variants import find_variant
from effconvert.errors import LayoutMismatch, UnknownName, close_name, known_names, nearest_first
from effconvert.reference_tables.publishers import publisher_called
from effconvert.reference_tables.trainings import training_called
from effconvert.reference_tables.weights import FRAMEWORKS, Published, weights_table


def published(variant: str, framework: str = "tensorflow") -> list[Published]:
    """Return every published file of `variant`, the oldest first; within a release, smaller images first.

    timm's own trainings come before its ports of TensorFlow's, and MindCV's before mindvision's. The list is empty if
    the framework published none.

    Raises UnknownName for an unknown variant or framework.
    """
    name = find_variant(variant).name
    rows = [row for row in _of(framework) if row.variant == name]
    return sorted(rows, key=lambda row: (row.release, row.size))


def choose(variant: str, weights: str | None = None, framework: str = "tensorflow") -> Published:
    """Return the file of `variant` with `weights`; the default is `aa`, else the last file in `published`.

    So the default is the newest file of TensorFlow, mmpretrain or torchvision, mindvision's for MindSpore, and the
    ported network (`tf_efficientnet_*`) for timm. weights: the framework's name (timm's tag `ns_jft_in1k`) or the short
    one (`ns`). timm's networks, `efficientnet_b0` (with its default tag) and `efficientnet_b0.ra_in1k`, also work.

    Raises UnknownName with the existing weights if `variant` has no such weights, and LayoutMismatch if the framework
    published none of it.
    """
    rows = published(variant, framework)
    name = find_variant(variant).name
    if not rows:
        others = ", ".join(nearest_first(name, dict.fromkeys(row.variant for row in _of(framework))))
        raise LayoutMismatch(f"{framework} published no weights of {name}; it published weights of {others}")
    if weights is None:
        return _usual(rows)
    if named := _called(weights, rows):
        asked_network = weights.lower() in {row.network.lower() for row in named}
        return _usual(named, prefer_default=asked_network)
    others = ", ".join(dict.fromkeys(row.variant for row in _called(weights, _of(framework))))
    known = ", ".join(nearest_first(weights, dict.fromkeys(row.weights for row in _of(framework))))
    meant = close_name(weights, [name for row in rows for name in (row.short, row.weights)])
    elsewhere = f"only {others} have them" if others else f"no variant has them (known are {known})"
    raise UnknownName(
        f"weights {weights!r} were not published for {name} ({framework}), "
        f"which has {', '.join(nearest_first(weights, (row.weights for row in rows)))}; {elsewhere}"
        f"{f'; did you mean {meant}?' if meant else ''}"
    )


def _of(framework: str) -> list[Published]:
    publisher = publisher_called(framework)
    if publisher not in FRAMEWORKS:
        raise UnknownName(f"framework {framework!r} is unknown; {known_names(framework, FRAMEWORKS)}")
    return [row for row in weights_table() if row.framework == publisher]


def _called(weights: str, rows: list[Published]) -> list[Published]:
    name = training_called(weights).lower()
    return [
        row
        for row in rows
        if name in {text.lower() for text in (row.weights, row.short, row.network, f"{row.network}.{row.weights}")}
    ]


def _usual(rows: list[Published], prefer_default: bool = False) -> Published:
    preferred = [row for row in rows if row.short == "aa"] or [row for row in rows if prefer_default and row.default]
    return (preferred or rows[-1:])[0]

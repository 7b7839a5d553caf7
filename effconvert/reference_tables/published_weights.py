"""Which weights are published where."""

from effconvert.architecture.variants import find_variant
from effconvert.errors import LayoutMismatch, nearest_first
from effconvert.reference_tables.weights import FRAMEWORKS, Published, weights_table

# What papers call the trainings.
_LONG_NAMES = {"noisystudent": "ns", "autoaugment": "aa", "randaugment": "ra", "adversarialpropagation": "advprop"}


def published(variant: str, framework: str = "tensorflow") -> list[Published]:
    """Return every published file of `variant`, the oldest first; of one release the one for smaller images first.

    timm's own trainings stand before its ports of TensorFlow's, MindCV's before mindvision's. The list is empty where
    the framework published none.

    Raises LayoutMismatch for an unknown variant or framework.
    """
    name = find_variant(variant).name
    rows = [row for row in _of(framework) if row.variant == name]
    return sorted(rows, key=lambda row: (row.release, row.size))


def choose(variant: str, weights: str | None = None, framework: str = "tensorflow") -> Published:
    """Return the file of `variant` with `weights`; by default `aa`, else the last that `published` lists.

    So the default is the newest of TensorFlow, mmpretrain and torchvision, mindvision's of MindSpore, and of timm the
    ported network (`tf_efficientnet_*`). weights: as the framework names them (timm's tag `ns_jft_in1k`), or short
    (`ns`). timm's networks, `efficientnet_b0` (of its own default) and `efficientnet_b0.ra_in1k`, are taken as well.

    Raises LayoutMismatch that lists what exists when `variant` has no such weights.
    """
    rows = published(variant, framework)
    name = find_variant(variant).name
    if not rows:
        others = ", ".join(nearest_first(name, dict.fromkeys(row.variant for row in _of(framework))))
        raise LayoutMismatch(f"{framework} published no weights of {name}; it has them of {others}")
    if weights is None:
        return _usual(rows)
    if named := _called(weights, rows):
        asked_network = weights.lower() in {row.network.lower() for row in named}
        return _usual(named, prefer_default=asked_network)
    others = ", ".join(dict.fromkeys(row.variant for row in _called(weights, _of(framework))))
    known = ", ".join(nearest_first(weights, dict.fromkeys(row.weights for row in _of(framework))))
    elsewhere = f"only {others} have them" if others else f"no variant has them (known are {known})"
    raise LayoutMismatch(
        f"weights {weights!r} were not published for {name} ({framework}), "
        f"which has {', '.join(nearest_first(weights, (row.weights for row in rows)))}; {elsewhere}"
    )


def _of(framework: str) -> list[Published]:
    if framework not in FRAMEWORKS:
        raise LayoutMismatch(
            f"framework {framework!r} is unknown; known are {', '.join(nearest_first(framework, FRAMEWORKS))}"
        )
    return [row for row in weights_table() if row.framework == framework]


def _called(weights: str, rows: list[Published]) -> list[Published]:
    name = weights.lower()
    name = _LONG_NAMES.get(name.replace("-", "").replace("_", ""), name)
    return [
        row
        for row in rows
        if name in {text.lower() for text in (row.weights, row.short, row.network, f"{row.network}.{row.weights}")}
    ]


def _usual(rows: list[Published], prefer_default: bool = False) -> Published:
    preferred = [row for row in rows if row.short == "aa"] or [row for row in rows if prefer_default and row.default]
    return (preferred or rows[-1:])[0]

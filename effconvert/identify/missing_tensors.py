"""Says what a file lacks where that is all of one kind, and which variant it then is that its layout does not have."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from effconvert.architecture.variants import VARIANTS, Variant
from effconvert.errors import LayoutMismatch
from effconvert.formats.checkpoint import Shape
from effconvert.maps.language import Layout, Row
from effconvert.maps.layouts import known_layouts
from effconvert.maps.moves import compile_layout

_SE = "squeeze-and-excite"
# What canonical names hold, the narrower kinds first.
_KINDS = {
    ".se.": _SE,
    ".routing.": "routing",
    ".running_": "moving statistics of BatchNorm",
    ".bn.": "BatchNorm",
    ".expand.": "expansions",
    ".depthwise.": "depthwise convolutions",
    ".project.": "projections",
    "head.fc.": "classifier",
    "head.": "head",
}
_NOTHING = "drawn"  # a kind without tensors


def kind_of(targets: Collection[str]) -> str:
    """Return the one kind that all these canonical tensors are of, "" where they are of several, or one alone."""
    if len(targets) < 2:
        return ""
    return next((words for part, words in _KINDS.items() if all(part in target for target in targets)), "")


def foreign_variant(
    layout: Layout, shapes: Mapping[str, Shape], dropped: str = "", unexplained: int | None = None
) -> Variant | None:
    """Return the variant that a file under the layout's names is of, although the layout does not have it.

    shapes: {name without the file's prefix: shape}. dropped: the prefix of the layout that the file lacks. unexplained:
    how many tensors the variant may not leave over, as B0's leave those of squeeze-and-excite to Lite0. A variant that
    lacks a kind of layer is tried with the place of that layer left out, and with it kept free; how many classes there
    are does not matter.
    """
    for variant in VARIANTS.values():
        if variant.name not in layout.variants:
            for spelled in _spellings(layout, variant):
                if _explains(spelled, variant, shapes, dropped, unexplained):
                    return variant
    return None


def refuse_foreign(
    path: Path, layout: Layout, shapes: Mapping[str, Shape], dropped: str = "", unexplained: int | None = None
) -> None:
    """Raise LayoutMismatch where `foreign_variant` finds one, with the layouts that have it."""
    variant = foreign_variant(layout, shapes, dropped, unexplained)
    if variant is None:
        return
    without = f" (no {_SE})" if not variant.se_ratio else ""
    others = ", ".join(other.name for other in known_layouts() if variant.name in other.variants)
    raise LayoutMismatch(
        f"{path}: is {variant.name}{without}, which layout {layout.name} does not have; "
        f"that has {', '.join(layout.variants)}. Layouts that have {variant.name}: {others}"
    )


def _spellings(layout: Layout, variant: Variant) -> Iterator[Layout]:
    """Yield the layout with `variant` in it."""
    covering = replace(layout, variants={**layout.variants, variant.name: variant.name}, refused={})
    if variant.se_ratio:
        yield covering
        return
    for change in (_flagged, _drawn):
        rows = [change(row) if row.layer.partition(".")[0] == "se" else row for row in layout.layers["block"]]
        yield replace(covering, layers={**layout.layers, "block": tuple(rows)}, kinds={**layout.kinds, _NOTHING: {}})


def _flagged(row: Row) -> Row:
    return replace(row, flags=row.flags | {"se"})


def _drawn(row: Row) -> Row:
    return replace(row, layer="", kind=_NOTHING)


def _explains(
    layout: Layout, variant: Variant, shapes: Mapping[str, Shape], dropped: str, unexplained: int | None
) -> bool:
    try:
        compiled = compile_layout(layout, variant, root="").without(dropped)
    except LayoutMismatch:  # its map has no row for a layer of the variant
        return False
    left = shapes.keys() - compiled.fills.keys() - {move.source for move in compiled.moves}
    if unexplained is not None and len(left) >= unexplained:
        return False
    wanted = (move for move in compiled.moves if not move.target.startswith("head.fc."))
    return all(shapes.get(move.source) == move.source_shape for move in wanted)

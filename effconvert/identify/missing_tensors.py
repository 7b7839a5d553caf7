"""Missing tensors of one kind, and the variant without this kind, if the layout does not have that variant."""

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
# Parts of canonical names, the more special kinds first.
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
# What a file holds, and what to do, if all tensors of a kind are missing.
_MEANS = {
    ".running_": "the file holds only trainable parameters; save the whole network, not what its optimizer trains",
}
_NOTHING = "drawn"  # a kind without tensors


def kind_of(targets: Collection[str]) -> str:
    """Return the one kind of all these canonical tensors; "" if there are several kinds, or only one tensor."""
    if len(targets) < 2:
        return ""
    return next((words for part, words in _KINDS.items() if all(part in target for target in targets)), "")


def missing_words(lacking: Collection[str], wanted: Collection[str]) -> str:
    """Return one sentence for missing canonical tensors that are all of one kind; "" if they are not.

    wanted: all tensors of the network. It says what the file holds if it lacks all that the network has of the kind.
    """
    kind = kind_of(lacking)
    if not kind:
        return ""
    part = next(part for part, words in _KINDS.items() if words == kind)
    words = f"all {len(lacking):,} missing tensors are of one kind: {kind}"
    if part in _MEANS and len(lacking) == sum(part in name for name in wanted):
        return f"all {len(lacking):,} {kind} are missing: {_MEANS[part]}"
    return words


def foreign_variant(
    layout: Layout, shapes: Mapping[str, Shape], dropped: str = "", unexplained: int | None = None
) -> Variant | None:
    """Return the variant of a file with the layout's names, if the layout does not have this variant.

    shapes: {name without the file's prefix: shape}. dropped: the prefix of the layout that the file lacks. unexplained:
    the variant must leave fewer tensors than this unexplained; Lite0 leaves squeeze-and-excite of B0. For a variant
    without a kind of layer, the number of that layer is once left out and once kept. The classes do not matter.
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
    """Raise LayoutMismatch if `foreign_variant` finds one, with the layouts that have it."""
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

"""A first map of an unknown file: decisions become rows, open points become questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from effconvert.architecture.variants import Variant, find_variant, has_fused_strides
from effconvert.drafting.contents import SEPARATORS, Contents, contents_of
from effconvert.drafting.decision import Decisions, decide
from effconvert.drafting.kinds import Kinds
from effconvert.drafting.leftovers import Leftovers, leftovers_of
from effconvert.drafting.missing_layers import add_missing_layers
from effconvert.drafting.pieces import pieces_of
from effconvert.drafting.questions import Question, questions_of
from effconvert.drafting.rows import Rows, Words, rows_of
from effconvert.drafting.shapes import measure
from effconvert.drafting.writing import Head, toml_of
from effconvert.errors import LayoutMismatch
from effconvert.formats import open_checkpoint
from effconvert.maps.language import NAME
from effconvert.maps.layouts import parse_layout
from effconvert.maps.map_names import layout_names
from effconvert.maps.moves import Move, compile_layout

_FRAMEWORKS = {"torch": "pytorch", "mindspore": "mindspore"}


@dataclass(frozen=True)
class Draft:
    """A drafted map.

    text: the map as TOML. moves: {canonical tensor: its move}, for the decided ones. open: {canonical tensor: the names
    that it may have}, for the others. questions: what a person must answer, one per line. said: sentences on the
    evidence. facts: the assumed facts, which no tensor tells. lists: series that list names without a rule.
    """

    text: str
    moves: Mapping[str, Move]
    open: Mapping[str, tuple[str, ...]]
    questions: tuple[Question, ...]
    said: tuple[str, ...]
    facts: Mapping[str, str]
    lists: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether there are no questions."""
        return not self.questions


def draft_map(
    path: Path | str,
    variant: str,
    name: str = "drafted",
    root: str = "",
    leave: Sequence[str] = (),
    key: bytes | None = None,
) -> Draft:
    """Draft a map of the file at `path`, which holds a network of `variant`.

    name: the name of the layout. root: the prefix of the network, if the file holds several. leave: patterns of names
    that are not of the network. key: decrypts an encrypted MindSpore checkpoint.

    Raises UnreadableCheckpoint if the file cannot be read; LayoutMismatch if its shapes are not those of the variant,
    if it holds several networks or classifiers, or if the name belongs to another layout.
    """
    found = find_variant(variant)
    _check_name(name)
    with open_checkpoint(path, key) as checkpoint:
        contents = contents_of(checkpoint, root, leave)
        decisions = decide(measure(contents.tensors, found, str(path)), contents)
        return _draft(decisions, contents, found, name)


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise LayoutMismatch(f"layout {name!r}: a name has letters, digits and . _ - only; give another one")
    if name in layout_names():
        raise LayoutMismatch(f"layout {name!r}: a layout of this name exists; give another one")


def _draft(decisions: Decisions, contents: Contents, variant: Variant, name: str) -> Draft:
    measured = decisions.measured
    pieces, separator = pieces_of(decisions, contents)
    rows = rows_of(pieces, decisions.names.blocks if decisions.names else {}, separator)
    add_missing_layers(rows, measured, variant)
    names = {
        f"{layer.name}.{tensor}": decisions.names_of(layer.name, tensor)
        for layer in measured.layers
        for tensor in layer.shapes
    }
    taken = {file for each in names.values() for file in each}
    norms = [decisions.first(layer.name) for layer in measured.layers if layer.is_norm]
    left = leftovers_of(contents, taken, norms, measured.facts.in_channels, decisions.separator)
    counters = left.counters if separator == decisions.separator else {}
    root = _root(taken)
    _take_root(rows, root)
    orders = {found[0]: found for found in decisions.orders.values() if len(found) > 1}
    kinds = Kinds(decisions.open_roles, tuple(counters), orders)
    average: Words = contents.average
    if contents.unsure_average and not average:
        average = ("", contents.unsure_average)
    facts = _facts(variant, left)
    caution = _caution(facts, decisions.unconfirmed)
    head = Head(
        layout=name,
        variant=variant.name,
        comment=(),
        root=_with_variant(root, variant),
        separator=separator,
        framework=_framework(contents),
        average=average,
        facts=facts,
        fills=counters,
        ignore=left.ignore,
        caution=caution,
    )
    moves = _moves(toml_of(head, rows, kinds, closed=True), decisions, variant)
    questions = questions_of(rows, kinds, left, {"average": average, "library.caution": caution})
    said = (*decisions.said, *_counts(decisions))
    head = replace(head, comment=_comment(contents, variant, said, len(questions), rows))
    return Draft(
        text=toml_of(head, rows, kinds) + _told_by_values(decisions),
        moves={tensor: move for tensor, move in moves.items() if len(names[tensor]) == 1},
        open={tensor: files for tensor, files in names.items() if len(files) > 1},
        questions=questions,
        said=said,
        facts={fact: value for fact, (value, _) in head.facts.items()},
        lists=tuple(rows.lists),
    )


def _moves(closed: str, decisions: Decisions, variant: Variant) -> dict[str, Move]:
    """Return the moves of the map with the first answer to each question; they must be equal to the decisions."""
    layout = parse_layout(closed.encode(), "the drafted map")
    moves = {move.target: move for move in compile_layout(layout, variant, decisions.measured.facts).moves}
    for layer in decisions.measured.layers:
        for tensor, name in decisions.first(layer.name).items():
            written = moves[f"{layer.name}.{tensor}"].source
            if written != name:
                raise AssertionError(f"{layer.name}.{tensor}: {name} was decided, but {written} was written")
    return moves


def _root(names: set[str]) -> str:
    """Return the common prefix of all names, up to a separator."""
    first, last = min(names), max(names)
    common = next((first[:end] for end in range(len(first), 0, -1) if last.startswith(first[:end])), "")
    return common[: max(map(common.rfind, SEPARATORS)) + 1]


def _take_root(rows: Rows, root: str) -> None:
    """Remove `root` from every source."""

    def without(words: Words) -> Words:
        return words.removeprefix(root) if isinstance(words, str) else tuple(word.removeprefix(root) for word in words)

    for part, each in rows.parts.items():
        rows.parts[part] = [replace(row, source=without(row.source)) for row in each]
    rows.series = {
        name: tuple(map(without, items)) if name in rows.lists else items for name, items in rows.series.items()
    }


def _with_variant(root: str, variant: Variant) -> str:
    """Return `root` with a placeholder in place of the variant's name."""
    return root.replace(f"-{variant.name}/", "-{variant}/")


def _framework(contents: Contents) -> str:
    """Return the framework whose format the file has; "" if several use it."""
    rooms = type(contents.checkpoint).__module__.split(".")
    return next((framework for room, framework in _FRAMEWORKS.items() if room in rooms), "")


def _facts(variant: Variant, left: Leftovers) -> dict[str, tuple[str, str]]:
    """Return {fact: (its value in TOML, reason)} for the facts that no tensor tells."""
    facts = {
        "bn_eps": ("1e-3", "assumed, as in TensorFlow's networks; many of PyTorch's have 1e-5"),
        "padding": ('"tf-same"', 'assumed, as in TensorFlow; many of PyTorch\'s networks have "symmetric"'),
    }
    if has_fused_strides(variant):
        facts["fused_stride"] = ('"project"', 'assumed, as in TensorFlow\'s published weights; timm has "expand"')
    if left.normalizes:
        facts["normalization"] = ('"keras"', "assumed: the file holds mean and variance of the images' channels")
    return facts


def _caution(facts: Mapping[str, tuple[str, str]], unconfirmed: str) -> Words:
    """Return the warning of every use of the map, until a person removes it; a question if the names may be false."""
    assumed = ", ".join(f"{fact} {value.strip(chr(34))}" for fact, (value, _) in facts.items())
    plain = f"drafted: {assumed} are assumed, look them up"
    return (f"{plain}; {unconfirmed}", plain) if unconfirmed else plain


def _counts(decisions: Decisions) -> list[str]:
    """Return how many layers each witness decided."""
    counts: dict[str, int] = {}
    for witness in decisions.told_by.values():
        words = witness.partition(",")[0]
        counts[words] = counts.get(words, 0) + 1
    return [f"{count:,} layers decided by {words}" for words, count in counts.items()]


def _told_by_values(decisions: Decisions) -> str:
    """Return comments with the decisions by values, and how well the values agree."""
    told = {layer: witness for layer, witness in decisions.told_by.items() if "values" in witness}
    lines = [f"# {layer}, {witness}: {next(iter(decisions.first(layer).values()))}" for layer, witness in told.items()]
    return "\n".join(["", "# Decided by values, which are evidence, not proof:", *lines, ""]) if lines else ""


def _comment(contents: Contents, variant: Variant, said: tuple[str, ...], questions: int, rows: Rows) -> list[str]:
    file = contents.checkpoint
    lines = [
        f"Drafted from {file.path.name} ({file.format}) as a network of {variant.name}.",
        "Evidence for which tensor is which:",
        *(f"  {sentence}" for sentence in said),
        "All names follow rules.",
    ]
    if rows.lists:
        lines[-1] = f"No rule gives the names in the series {', '.join(rows.lists)}: they are of this variant only."
    if questions:
        lines.append(f"Each line marked QUESTION ({questions:,}) needs one answer before the map can be used.")
    return lines

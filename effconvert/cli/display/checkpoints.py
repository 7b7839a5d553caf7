"""Terminal output of `inspect`: the contents of a checkpoint."""

from typing import TYPE_CHECKING

from effconvert.cli.display.terminal import print_pairs, print_table, say
from effconvert.cli.display.words import counted, facts_text, options_pairs, recipe_text, source_pairs
from effconvert.identify.reasons import several
from effconvert.report.renderings.numbers_text import size as size_text

if TYPE_CHECKING:
    from effconvert.identify.inspection import Inspection

SHOWN = 8


def print_inspection(found: "Inspection", shown: int) -> None:
    """Print the facts of a checkpoint and its first tensors."""
    print_pairs([*_identity_pairs(found), *_description_pairs(found)])
    if not found.tensors:
        return
    say()
    rows = [(info.name, f"{info.dtype} {list(info.shape)}") for info in found.tensors[:shown]]
    print_table(("tensor", "values"), rows, below=("values",))
    if len(found.tensors) > shown:
        say(f"… and {len(found.tensors) - shown:,} more (--tensors lists all)")


def _identity_pairs(found: "Inspection") -> list[tuple[str, str]]:
    pairs = [("format", f"{found.format}, {', '.join(found.files)}")]
    if found.graph:
        from effconvert.cli.display.deployed import file_pairs

        pairs += list(file_pairs(found.graph))
    if found.graph and not found.tensors:
        pairs.append(("weights", f"none to convert: {found.note}"))
        if found.variant and found.facts:
            pairs += [("variant", found.variant), ("facts", facts_text(found.facts, found.assumed))]
        return pairs
    if found.layout is None:
        pairs.append(("layout", f"unknown: {found.note}"))
    else:
        wrong = f"; {counted(found.missing)} missing or of another shape" if found.missing else ""
        wrong += f"; {counted(found.unread)} not read" if found.unread else ""
        root = f", under {found.root}" if found.root else ""
        pairs.append(("layout", f"{found.layout}{root}{wrong}"))
        if found.missing_words:
            pairs.append(("", found.missing_words))
        pairs.append(("variant", f"{found.variant}, {found.parameters:,} parameters"))
        sets = [
            f"{held['tensors']:,} {'tensors' if name == 'weights' else name} ({size_text(held['nbytes'])})"
            for name, held in found.sets.items()
        ]
        pairs.append(("weights", ", ".join(sets)))
        if found.facts:
            pairs.append(("facts", facts_text(found.facts, found.assumed)))
        if found.assumption:
            pairs.append(("", found.assumption))
        pairs += [("warning", caution) for caution in found.cautions]
        if found.classifier:
            pairs.append(("classifier", f"{found.classifier}, which reads the pooled features"))
        strange = [f"{name}, {where}" for name, where in found.strange.items()]
        pairs += [("unknown" if number == 0 else "", text) for number, text in enumerate(strange[:SHOWN])]
        if len(strange) > SHOWN:
            pairs.append(("", f"… and {counted(len(strange) - SHOWN)} more (convert needs --backbone or --leave)"))
    pairs += [("also", several(count, reason)) for reason, count in found.others.items()]
    pairs.append(("tensors", f"{len(found.tensors):,}, {size_text(found.nbytes)}"))
    return pairs


def _description_pairs(found: "Inspection") -> list[tuple[str, str]]:
    said = found.description
    if said is None:
        return []
    taken = "" if said.taken == "weights" else f", {said.taken}"
    pairs = [
        ("made from", f"{said.layout}: {said.weights or 'weights not named'}{taken}"),
        ("made by", f"effconvert {found.metadata['effconvert']}"),
        ("recipe", recipe_text(said.recipe.to_dict())),
    ]
    pairs += options_pairs(said.options)
    return pairs + source_pairs(said.source)

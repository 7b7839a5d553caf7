"""Terminal output of a verdict: one line first, then what was compared, and the layers where they matter."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from effconvert.cli.display.terminal import BAD, DOUBTFUL, FAINT, GOOD, print_pairs, print_table, say, say_line

if TYPE_CHECKING:
    from effconvert.verification.comparison import Comparison, LayerDifference
    from effconvert.verification.procedure import Verification
    from effconvert.verification.trials import Trial
    from effconvert.verification.verdict import Verdict

_COLUMNS = ("layer", "computed", "max |Δ|", "mean |Δ|", "of the largest", "allowed", "cosine", "at", "verdict")
_MODES = {"accumulated": "end to end", "fed": "isolated"}
_EXPLAINED = {
    "accumulated": "end to end: each layer gets the output of its own network's earlier layers",
    "fed": "isolated: each layer gets the source's input, so that only its own difference counts",
}


def print_verification(found: "Verification", layers: bool) -> None:
    """Print the verdict, its cause if one was looked for, what ran on what, and the layers where they matter."""
    print_headline(found.verdict)
    if found.trials:
        _print_cause(found)
    say()
    in_full = layers or not found.same
    print_pairs(list(_pairs(found, in_full)))
    if in_full:
        print_comparisons(found.reference["framework"], found.verdict, layers)
        print_first(found.tensors)
    if found.trials and (layers or not any(trial.vanishes for trial in found.trials)):
        _print_trials(found)


def print_headline(verdict: "Verdict") -> None:
    """Print the verdict in one line."""
    from effconvert.verification.headlines import headline
    from effconvert.verification.verdict import DIFFERENT, NOT_VERIFIABLE

    mark, meaning = {DIFFERENT: ("✗", BAD), NOT_VERIFIABLE: ("?", DOUBTFUL)}.get(verdict.word, ("✓", GOOD))
    say(headline(verdict), meaning, begin=f"{mark} ")


def measured(verdict: "Verdict") -> str:
    """Return the verdict's measurement: the layer, the difference, its place, what was allowed."""
    return verdict.sentence.partition(": ")[2]


def print_comparisons(reference: str, verdict: "Verdict", every_layer: bool) -> None:
    """Print a table for each pair: every layer, or only the most informative ones; then what the columns mean."""
    from effconvert.verification.verdict import NOT_VERIFIABLE

    modes: set[str] = set()
    passed = "not judged" if verdict.word == NOT_VERIFIABLE else "passed"
    for pair in verdict.pairs:
        say()
        say(f"{pair.framework} against {reference}:")
        rows = pair.comparison.rows if every_layer else tuple(_telling(pair.comparison))
        modes |= {row.mode for row in rows}
        cells = [_cells(row, passed) for row in rows]
        print_table(
            _COLUMNS,
            cells,
            "llrrrrrll",
            drop=("mean |Δ|", "cosine", "at", "max |Δ|"),
            meanings={"differs": BAD, "passed": GOOD},
        )
        missing = [f"{layer} (only the {side} has it)" for layer, side in pair.comparison.only.items()]
        if missing:
            say(f"not compared: {', '.join(missing)}")
        if pair.comparison.top1 is not None:
            shares = f"top-1 agrees on {pair.comparison.top1:.0%} of the images, top-5 on {pair.comparison.top5:.0%}"
            say(f"{shares} (for information, not part of the verdict)")
    if len(modes) > 1:
        for words in _EXPLAINED.values():
            say(words, FAINT, begin="  ")


def print_first(tensors: Mapping[str, tuple[str, bool]]) -> None:
    """Print the tensors of the first layer that differs: {name: (name in the source, whether values differ)}."""
    if tensors:
        say()
        say("the tensors of the first layer that differs:")
    for name, (source, differs) in tensors.items():
        say(f"{name} <- {source}{': values differ' if differs else ''}", begin="  ")


def _print_cause(found: "Verification") -> None:
    from effconvert.verification.trials import cause_and_fix, fixing_commands

    cause, fix = cause_and_fix(found.trials)
    failing = found.verdict.failing if found.library_alone else None
    alone = f" (what {failing.framework} does differently)" if failing else ""
    commands = fixing_commands(found.trials)
    if fix and commands:
        fix += "; convert again:"
    print_pairs([(f"Cause{alone}:", cause), *([("Fix:", fix)] if fix else [])])
    for command in commands:
        say_line(command)


def _pairs(found: "Verification", in_full: bool) -> Iterator[tuple[str, str]]:
    reference = found.reference
    yield "source", f"{found.source.path}, run by {reference['framework']}"
    yield "", f"{reference['network']}; read by {reference['loader']}"
    for pair in found.verdict.pairs:
        yield "converted", f"{found.converted.path}, run by {pair.framework}"
        yield "", f"{pair.network}; read by {pair.loader}"
    facts = [file.facts.in_words(file.identity.assumed) for file in (found.source, found.converted)]
    if facts[0] == facts[1]:
        yield "facts", facts[0]
    else:
        yield "facts", f"of the source: {facts[0]}"
        yield "", f"of the converted file: {facts[1]}"
    yield "images", _images(found)
    yield "measured", measured(found.verdict)
    for rounding in found.roundings if in_full else ():
        worst = f"at most {rounding.worst:.1e} at {rounding.layer}"
        yield "rounding", f"{rounding.framework} is {rounding.outputs:.1e} from float64, {worst}"
    if found.rounding_cost is not None:
        moved = f"moves the outputs by {found.rounding_cost:.1e} of the largest"
        yield "rounding", f"of the weights to {found.verdict.rounded} {moved}"
    if found.judgement:
        yield "judged", found.judgement
    yield from (("warning", caution) for caution in found.cautions)


def _images(found: "Verification") -> str:
    words = found.inputs.words
    kind = f"synthetic images (seed {words['seed']})" if words["kind"] == "synthetic" else f"of {words['of']:,} images"
    return f"{words['count']} {kind}, {words['size']} px; sensitivity {found.verdict.sensitivity:.2f}"


def _print_trials(found: "Verification") -> None:
    rows = [(trial.words, _left(trial), trial.change if trial.effect else "") for trial in found.trials]
    say()
    print_table(
        ("known cause", "difference after it", "tried"),
        rows,
        below=("tried", "difference after it"),
        meanings={"it vanishes": GOOD},
    )


def _left(trial: "Trial") -> str:
    if not trial.effect:
        return "no effect here"
    return "it vanishes" if trial.vanishes else f"{trial.difference:.1e} is left"


def _telling(comparison: "Comparison") -> Iterator["LayerDifference"]:
    """Yield the first layer that differs, the worst and the last one of each mode."""
    chosen = [comparison.first, comparison.worst]
    for mode in ("accumulated", "fed"):
        rows = comparison.of(mode)
        chosen += [max(rows, key=_badness), rows[-1]] if rows else []
    yield from (row for row in comparison.rows if row in chosen)


def _badness(row: "LayerDifference") -> float:
    return row.relative / row.allowed if row.relative == row.relative else float("inf")


def _cells(row: "LayerDifference", passed: str) -> Sequence[str]:
    numbers = [f"{value:.1e}" for value in (row.largest, row.mean, row.relative)]
    at = ", ".join(map(str, row.at))
    if row.shapes:
        numbers, at = ["", "", "another shape"], ""
    elif any(row.not_finite):
        numbers = ["", "", f"{row.not_finite[1]:,} not finite"]
    cosine = f"{row.cosine:.8f}" if row.cosine == row.cosine else ""
    verdict = passed if row.passed else "differs"
    return [row.layer, _MODES[row.mode], *numbers, f"{row.allowed:.1e}", cosine, at, verdict]

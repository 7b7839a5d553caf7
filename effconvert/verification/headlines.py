"""The verdict in one line that needs no knowledge of how networks are compared."""

from effconvert.architecture.facts import only_assumed
from effconvert.option_words import option
from effconvert.verification.comparison import ISOLATED, LayerDifference, times
from effconvert.verification.verdict import DIFFERENT, NOT_VERIFIABLE, RELAXED, Pair, Verdict


def headline(verdict: Verdict) -> str:
    """Return the verdict in one line: the word in capitals, the layer that tells most, and its distance in words."""
    if verdict.word == NOT_VERIFIABLE:
        return f"NOT VERIFIABLE: {verdict.reason}"
    but = f"; but {only_assumed(verdict.assumed)} ({option('facts')} tells which)" if verdict.assumed else ""
    if verdict.word == DIFFERENT:
        return f"DIFFERENT NETWORK: {_what_differs(verdict)}{but}"
    within = f" within the tolerance {verdict.tolerance.end_to_end:g} that you gave" if verdict.word == RELAXED else ""
    rounded = f" except for the rounding to {verdict.rounded}" if verdict.rounded else ""
    return f"SAME NETWORK{within}{rounded}: {_worst_layer(verdict)}{but}"


def _worst_layer(verdict: Verdict) -> str:
    if not any(row.largest for pair in verdict.pairs for row in pair.comparison.rows):
        return "every layer is equal bit for bit"
    worst = max((pair.comparison.worst for pair in verdict.pairs), key=lambda row: row.relative / row.allowed)
    return f"worst layer {worst.layer}, {times(worst.allowed / worst.relative)} below its tolerance"


def _what_differs(verdict: Verdict) -> str:
    pair = verdict.failing
    if pair is None:
        count = len(verdict.unlike)
        tensors = "1 tensor has" if count == 1 else f"{count:,} tensors have"
        return f"every layer is within its tolerance, but {tensors} other values than in the source"
    whose = f"only in {pair.framework}, not as canonical network: " if pair != verdict.pairs[0] else ""
    return whose + _first_layer(pair)


def _first_layer(pair: Pair) -> str:
    row = pair.comparison.first
    if row is None:
        return "every common layer is the same, but the networks do not end alike"
    if row.shapes:
        return f"{row.layer} is the first layer that differs; its output has another shape"
    if any(row.not_finite):
        return f"{row.layer} is the first layer that differs; it has values that are NaN or infinite"
    words = f"{row.layer} is the first layer that differs{_alone(pair, row)}"
    return f"{words}, {times(row.relative / row.allowed)} its tolerance"


def _alone(pair: Pair, row: LayerDifference) -> str:
    return "" if row.mode == ISOLATED or not pair.comparison.of(ISOLATED) else ", by rounding that adds up"

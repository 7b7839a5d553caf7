"""Checks of one network: the measurement, the limit and the verdict of each.

A check that passed under weaker conditions (a looser tolerance, a sample of the images) is `near`.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, Literal

from effconvert.architecture.facts import only_assumed
from effconvert.report.contents.accuracy import SourceVerdict
from effconvert.report.contents.cost import Cost, CostComparison
from effconvert.report.contents.network import Check, CheckName, CheckVerdict, Conversion, Nearest, Network
from effconvert.report.contents.verification import Comparison, Layer, Verification
from effconvert.report.renderings.numbers_text import count, error, percent, signed
from effconvert.validate.accuracy.judgement import IMAGENET_IMAGES
from effconvert.validate.evaluation.jobs import FAST
from effconvert.verification.comparison import ISOLATED

PASSED: Final = "passed"
NEAR: Final = "near"
FAILED: Final = "failed"
NOT_JUDGED: Final = "not judged"
NOT_MEASURED: Final = "not measured"
LOGITS = "logits"
_WORST_FIRST = (FAILED, NOT_JUDGED, NEAR, PASSED)
_OF_ACCURACY: dict[str, CheckVerdict] = {"same": PASSED, "near": NEAR, "away": FAILED, "not judged": NOT_JUDGED}
_UNVERIFIED = "no verification of this file was given (`effconvert verify --json`)"
_ALLOWED_OF_TENSORS = 1e-6  # the tolerance of `effconvert verify` for values, as a share of the tensor's largest


def verdicts(network: Network) -> tuple[Check, ...]:
    """Return the checks of `network`, which is complete except for these, its summary and its sentences."""
    verifications = network.verifications
    return (
        _coverage(network.conversion),
        _worst("tensors", verifications, lambda each: _tensors(each, network.conversion)),
        _worst("layers", verifications, _layers),
        _worst("logits", verifications, _logits),
        _accuracy(network),
        _cost("parameters", network.cost),
        _cost("operations", network.cost),
    )


def _coverage(conversion: Conversion | None) -> Check:
    if conversion is None:
        return Check("coverage", NOT_MEASURED, "", "", "the file has no record of a conversion by effconvert")
    if conversion.moved is None:
        return Check("coverage", NOT_MEASURED, "", "", "the file is older than the record of moved tensors")
    left = sum((conversion.left_behind or {}).values())
    measured = f"{count(conversion.moved)} tensors moved, {count(left)} left behind"
    return Check("coverage", PASSED, measured, "every tensor is moved, or left behind with a reason", "")


def _worst(check: CheckName, verifications: Sequence[Verification], check_of: Callable[[Verification], Check]) -> Check:
    """Return the worst of the verifications' checks, the first of equally bad ones."""
    found = [check_of(each) for each in verifications]
    measured = [each for each in found if each.verdict != NOT_MEASURED]
    if not measured:
        return found[0] if found else Check(check, NOT_MEASURED, "", "", _UNVERIFIED)
    return min(measured, key=lambda each: _WORST_FIRST.index(each.verdict))


def _tensors(verification: Verification, conversion: Conversion | None) -> Check:
    unlike, rounded = verification.unlike_tensors, verification.tolerance.rounded
    of = f" of {count(conversion.moved)}" if conversion and conversion.moved else ""
    allowed = f"{error(_ALLOWED_OF_TENSORS)} of a tensor's largest value"
    measured = f"{count(len(unlike))}{of} tensors have other values than the source's"
    if unlike:
        name, value = max(unlike.items(), key=lambda pair: math.inf if pair[1] is None else pair[1])
        return Check("tensors", FAILED, measured, allowed, f"{name} differs by {error(value)}")
    if rounded:
        return Check("tensors", NEAR, measured, allowed, f"the source's values were rounded to {rounded} first")
    return Check("tensors", PASSED, measured, allowed, "")


def _layers(verification: Verification) -> Check:
    rows = [row for pair in verification.comparisons for row in pair.rows if row.layer != LOGITS]
    found = _compared("layers", verification, rows)
    unexplained = verification.verdict == "different" and not verification.unlike_tensors
    if found.verdict in (PASSED, NEAR) and unexplained:
        failing_elsewhere = any(not each.passed for pair in verification.comparisons for each in pair.rows)
        if not failing_elsewhere:  # one of the networks has a layer that the other lacks
            return replace(found, verdict=FAILED, reason=verification.sentence)
    return found


def _logits(verification: Verification) -> Check:
    rows = [row for pair in verification.comparisons for row in pair.rows if row.layer == LOGITS]
    return _compared("logits", verification, rows)


def _compared(check: Literal["layers", "logits"], verification: Verification, rows: Sequence[Layer]) -> Check:
    if not rows:
        return Check(check, NOT_MEASURED, "", "", f"the network has no {check}")
    failing = [row for row in map(first_row, verification.comparisons) if row and row in rows]
    worst = failing[0] if failing else max(rows, key=share_of_tolerance)
    where = "" if check == LOGITS else f"{worst.layer}: "
    value = "not finite, or another shape" if worst.relative is None else error(worst.relative)
    measured, allowed = f"{where}{value}", f"{error(worst.allowed)} of the largest value"
    if verification.verdict == "not verifiable":
        return Check(check, NOT_JUDGED, measured, allowed, verification.sentence)
    if not all(row.passed for row in rows):
        return Check(check, FAILED, measured, allowed, verification.sentence)
    weakened = "; ".join(weaknesses(verification))
    return Check(check, NEAR if weakened else PASSED, measured, allowed, weakened)


def first_row(comparison: Comparison) -> Layer | None:
    """Return the row of the first layer that differs, isolated if that row differs; None without one."""
    rows = [row for row in comparison.rows if row.layer == comparison.first and not row.passed]
    return next((row for row in rows if row.mode == ISOLATED), rows[0] if rows else None)


def share_of_tolerance(row: Layer | Nearest) -> float:
    """Return a layer's difference as a share of its tolerance."""
    if row.relative is None:
        return math.inf
    return row.relative / row.allowed if row.allowed else math.inf if row.relative else 0.0


def weaknesses(verification: Verification) -> Iterable[str]:
    """Yield why a verification is weaker than one of float32 weights with known facts and the usual tolerance."""
    tolerance = verification.tolerance
    if tolerance.relaxed:
        yield f"a looser tolerance was set: {error(tolerance.accumulated)} of the largest value"
    if tolerance.rounded:
        yield f"the weights are rounded to {tolerance.rounded}, so the tolerance is looser"
    if assumed := verification.source.assumed:
        yield f"{only_assumed(assumed, 'the source')} (--facts tells)"


def _accuracy(network: Network) -> Check:
    accuracy = network.accuracy
    if accuracy is None:
        unlabelled = network.dataset is not None
        reason = "no image of the data set has a label" if unlabelled else "the network was not run on a data set"
        return Check("accuracy", NOT_MEASURED, "", "", reason)
    top1 = accuracy.top1
    measured = f"{percent(top1.percent, top1.images)} top-1 of {count(top1.images)} images"
    verdict = _OF_ACCURACY[accuracy.verdict]
    if verdict == NOT_JUDGED:
        return Check("accuracy", verdict, measured, "", accuracy.sentence.removeprefix("not judged: "))
    allowed = _accuracy_allowed(accuracy.sources)
    if verdict != PASSED:
        assumed = network.model.assumed
        doubt = f"; {only_assumed(assumed, 'its network')} (--facts tells)" if assumed else ""
        return Check("accuracy", verdict, measured, allowed, accuracy.sentence.partition(": ")[2] + doubt)
    weakened = "; ".join(_sampled(network))
    return Check("accuracy", NEAR if weakened else PASSED, measured, allowed, weakened)


def _sampled(network: Network) -> Iterable[str]:
    """Yield why the limit of a measured accuracy is wider."""
    images = network.accuracy.top1.images if network.accuracy else 0
    if images < IMAGENET_IMAGES:
        yield f"only {count(images)} of {count(IMAGENET_IMAGES)} images were used, so the limit is wider"
    if network.throughput and network.throughput.pipeline == FAST:
        yield "the fast pipeline is not a library's exact preprocessing, so the limit is wider"


def _accuracy_allowed(sources: Sequence[SourceVerdict]) -> str:
    """Return the limit of the deciding source with the largest difference."""
    deciding = [source for source in sources if source.decides and source.top1.limit is not None]
    words = ("same", "near", "away")
    worst = max(deciding, key=lambda each: (words.index(each.top1.word), abs(each.top1.difference)))
    limit = signed(worst.top1.limit).lstrip("+")
    return f"{worst.top1.published:g} % \N{PLUS-MINUS SIGN} {limit} points ({worst.kind})"


def _cost(quantity: Literal["parameters", "operations"], cost: Cost | None) -> Check:
    if cost is None:
        return Check(quantity, NOT_MEASURED, "", "", "the cost of this network is not known")
    figures = [each for each in cost.comparisons if each.quantity == quantity]
    failed = [each for each in figures if each.failed]
    ours = cost.parameters if quantity == "parameters" else cost.operations["multiply-adds"]
    words = "" if quantity == "parameters" else " multiply-adds"
    measured = f"{count(ours)}{words}; {_equal_words(figures)}"
    allowed = "every published figure that counts is equal"
    if failed:
        reason = "; ".join(f"{each.source}: {each.verdict}" for each in failed)
        return Check(quantity, FAILED, measured, allowed, reason)
    if not any(each.equal for each in figures):
        return Check(quantity, NOT_JUDGED, measured, allowed, "no published figure counts")
    return Check(quantity, PASSED, measured, allowed, "; ".join(_passed_over(figures)))


def _equal_words(figures: Sequence[CostComparison]) -> str:
    """Return how many of the figures that count are equal, and how many do not count."""
    counting = [each for each in figures if each.equal or each.failed]
    equal, left = sum(each.equal for each in counting), len(figures) - len(counting)
    if not counting:
        return "no published figure counts"
    others = f"; {count(left)} {'does' if left == 1 else 'do'} not count" if left else ""
    which = " that counts" if left and len(counting) == 1 else " that count" if left else ""
    if equal < len(counting):
        return f"{count(equal)} of {count(len(counting))} published figures{which} are equal{others}"
    if equal == 1:
        return f"the published figure{which} is equal{others}"
    every = "both" if equal == 2 else f"all {count(equal)}"
    return f"{every} published figures{which} are equal{others}"


def _passed_over(figures: Iterable[CostComparison]) -> Iterable[str]:
    """Yield each source whose figure differs and does not decide, with the reason."""
    for each in figures:
        if not each.equal:
            yield f"{each.kind} {each.verdict}, and does not count"

"""Checks of one network, a row for each: the measurement, the limit and the verdict.

A check that passed under weaker conditions (a looser tolerance, a sample of the images) is `near`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from effconvert.architecture.facts import only_assumed
from effconvert.report.renderings.numbers_text import count, error, percent, signed
from effconvert.validate.accuracy.judgement import IMAGENET_IMAGES
from effconvert.validate.evaluation.jobs import FAST

PASSED, NEAR, FAILED, NOT_JUDGED, NOT_MEASURED = "passed", "near", "failed", "not judged", "not measured"
CHECKS = ("coverage", "tensors", "layers", "logits", "accuracy", "parameters", "operations")
_WORST_FIRST = (FAILED, NOT_JUDGED, NEAR, PASSED)
_OF_ACCURACY = {"same": PASSED, "near": NEAR, "away": FAILED, "not judged": NOT_JUDGED}
_LOGITS = "logits"
_UNVERIFIED = "no verification of this file was given (`effconvert verify --json`)"
_ALLOWED_OF_TENSORS = 1e-6  # the tolerance of `effconvert verify` for values, as a share of the tensor's largest

Row = dict[str, str]
Plain = Mapping[str, Any]


def verdicts(network: Plain) -> list[Row]:
    """Return a row for each of CHECKS; `network` is complete except for these rows."""
    verifications = network["verifications"]
    return [
        _coverage(network["conversion"]),
        _worst("tensors", verifications, lambda each: _tensors(each, network["conversion"])),
        _worst("layers", verifications, _layers),
        _worst("logits", verifications, _logits),
        _accuracy(network),
        _cost("parameters", network["cost"]),
        _cost("operations", network["cost"]),
    ]


def _row(check: str, verdict: str, measured: str = "", allowed: str = "", reason: str = "") -> Row:
    return {"check": check, "verdict": verdict, "measured": measured, "allowed": allowed, "reason": reason}


def _coverage(conversion: Plain | None) -> Row:
    if conversion is None:
        return _row("coverage", NOT_MEASURED, reason="the file has no record of a conversion by effconvert")
    if conversion["moved"] is None:
        return _row("coverage", NOT_MEASURED, reason="the file is older than the record of moved tensors")
    left = sum(conversion["left_behind"].values())
    measured = f"{count(conversion['moved'])} tensors moved, {count(left)} left behind"
    return _row("coverage", PASSED, measured, "every tensor is moved, or left behind with a reason")


def _worst(check: str, verifications: Sequence[Plain], row_of: Callable[[Plain], Row]) -> Row:
    """Return the worst of the verifications' rows, the first of equally bad ones."""
    rows = [row for row in map(row_of, verifications) if row["verdict"] != NOT_MEASURED]
    if not rows:
        known = [row_of(each) for each in verifications]
        return known[0] if known else _row(check, NOT_MEASURED, reason=_UNVERIFIED)
    return min(rows, key=lambda row: _WORST_FIRST.index(row["verdict"]))


def _tensors(verification: Plain, conversion: Plain | None) -> Row:
    unlike, rounded = verification["unlike_tensors"], verification["tolerance"]["rounded"]
    of = f" of {count(conversion['moved'])}" if conversion and conversion["moved"] else ""
    allowed = f"{error(_ALLOWED_OF_TENSORS)} of a tensor's largest value"
    measured = f"{count(len(unlike))}{of} tensors have other values than the source's"
    if unlike:
        name, value = max(unlike.items(), key=lambda pair: math.inf if pair[1] is None else pair[1])
        return _row("tensors", FAILED, measured, allowed, f"{name} differs by {error(value)}")
    if rounded:
        return _row("tensors", NEAR, measured, allowed, f"the source's values were rounded to {rounded} first")
    return _row("tensors", PASSED, measured, allowed)


def _layers(verification: Plain) -> Row:
    rows = [row for pair in verification["comparisons"] for row in pair["rows"] if row["layer"] != _LOGITS]
    row = _compared("layers", verification, rows)
    if (
        row["verdict"] in (PASSED, NEAR)
        and verification["verdict"] == "different"
        and not verification["unlike_tensors"]
    ):
        failing_elsewhere = any(not each["passed"] for pair in verification["comparisons"] for each in pair["rows"])
        if not failing_elsewhere:  # one of the networks has a layer that the other lacks
            return row | {"verdict": FAILED, "reason": verification["sentence"]}
    return row


def _logits(verification: Plain) -> Row:
    rows = [row for pair in verification["comparisons"] for row in pair["rows"] if row["layer"] == _LOGITS]
    return _compared("logits", verification, rows)


def _compared(check: str, verification: Plain, rows: Sequence[Plain]) -> Row:
    if not rows:
        return _row(check, NOT_MEASURED, reason=f"the network has no {check}")
    worst = max(rows, key=_share)
    where = "" if check == _LOGITS else f"{worst['layer']}: "
    value = "not finite, or another shape" if worst["relative"] is None else error(worst["relative"])
    measured, allowed = f"{where}{value}", f"{error(worst['allowed'])} of the largest value"
    if verification["verdict"] == "not verifiable":
        return _row(check, NOT_JUDGED, measured, allowed, verification["sentence"])
    if not all(row["passed"] for row in rows):
        return _row(check, FAILED, measured, allowed, verification["sentence"])
    weakened = "; ".join(weaknesses(verification))
    return _row(check, NEAR if weakened else PASSED, measured, allowed, weakened)


def _share(row: Plain) -> float:
    """Return a layer's difference as a share of its tolerance."""
    if row["relative"] is None:
        return math.inf
    return float(row["relative"] / row["allowed"]) if row["allowed"] else math.inf if row["relative"] else 0.0


def weaknesses(verification: Plain) -> Iterable[str]:
    """Yield why a verification is weaker than one of float32 weights with known facts and the usual tolerance."""
    tolerance = verification["tolerance"]
    if tolerance["relaxed"]:
        yield f"a looser tolerance was set: {error(tolerance['accumulated'])} of the largest value"
    if tolerance["rounded"]:
        yield f"the weights are rounded to {tolerance['rounded']}, so the tolerance is looser"
    if assumed := verification["source"]["assumed"]:
        yield f"{only_assumed(assumed, 'the source')} (--facts tells)"


def _accuracy(network: Plain) -> Row:
    accuracy = network["accuracy"]
    if accuracy is None:
        unlabelled = network["dataset"] is not None
        reason = "no image of the data set has a label" if unlabelled else "the network was not run on a data set"
        return _row("accuracy", NOT_MEASURED, reason=reason)
    top1 = accuracy["top1"]
    measured = f"{percent(top1['percent'])} top-1 of {count(top1['images'])} images"
    verdict = _OF_ACCURACY[accuracy["verdict"]]
    if verdict == NOT_JUDGED:
        return _row("accuracy", verdict, measured, "", accuracy["sentence"].removeprefix("not judged: "))
    row = _row("accuracy", verdict, measured, _accuracy_allowed(accuracy["sources"]))
    if verdict != PASSED:
        assumed = network["model"].get("assumed")
        doubt = f"; {only_assumed(assumed, 'its network')} (--facts tells)" if assumed else ""
        return row | {"reason": accuracy["sentence"].partition(": ")[2] + doubt}
    weakened = []
    if top1["images"] < IMAGENET_IMAGES:
        weakened.append(
            f"only {count(top1['images'])} of {count(IMAGENET_IMAGES)} images were used, so the limit is wider"
        )
    if network["throughput"] and network["throughput"]["pipeline"] == FAST:
        weakened.append("the fast pipeline is not a library's exact preprocessing, so the limit is wider")
    return row | ({"verdict": NEAR, "reason": "; ".join(weakened)} if weakened else {})


def _accuracy_allowed(sources: Sequence[Plain]) -> str:
    """Return the limit of the deciding source with the largest difference."""
    deciding = [source for source in sources if source["decides"] and source["top1"]["limit"] is not None]
    words = ("same", "near", "away")
    worst = max(deciding, key=lambda each: (words.index(each["top1"]["word"]), abs(each["top1"]["difference"])))
    judged = worst["top1"]
    return (
        f"{judged['published']:g} % \N{PLUS-MINUS SIGN} {signed(judged['limit']).lstrip('+')} points ({worst['kind']})"
    )


def _cost(quantity: str, cost: Plain) -> Row:
    figures = [each for each in cost["comparisons"] if each["quantity"] == quantity]
    equal, failed = sum(each["equal"] for each in figures), [each for each in figures if each["failed"]]
    ours = cost["parameters"] if quantity == "parameters" else cost["operations"]["multiply-adds"]
    words = "" if quantity == "parameters" else " multiply-adds"
    measured = f"{count(ours)}{words}; {count(equal)} of {count(len(figures))} published figures are equal"
    allowed = "every reliable published figure is equal"
    if failed:
        reason = "; ".join(f"{each['source']}: {each['verdict']}" for each in failed)
        return _row(quantity, FAILED, measured, allowed, reason)
    if not equal:
        return _row(quantity, NOT_JUDGED, measured, allowed, "there is no reliable published figure")
    return _row(quantity, PASSED, measured, allowed)

"""Summary of a network: its verdict in a few words, and the accuracies and the layer of the report's first table."""

from collections.abc import Iterable, Sequence

from effconvert.reference_tables.publishers import publisher_title
from effconvert.reference_tables.sources import read_sources
from effconvert.report.checks import (
    FAILED,
    LOGITS,
    NEAR,
    NOT_JUDGED,
    NOT_MEASURED,
    PASSED,
    first_row,
    share_of_tolerance,
)
from effconvert.report.contents.accuracy import Judged, Proportion, SourceVerdict
from effconvert.report.contents.network import Beside, Check, Nearest, Network, Overall, Summary
from effconvert.report.contents.verification import Verification

_UNKNOWN = (NOT_JUDGED, NOT_MEASURED)
_OF_VERIFICATION = ("tensors", "layers", LOGITS)

NOTHING = Summary("incomplete", "", 0, None, None, None)


def summary_of(network: Network) -> Summary:
    """Return the summary of a network whose checks are known."""
    accuracy = network.accuracy
    return Summary(
        verdict=_verdict(network.verdicts),
        words=_words(network.verdicts),
        passed=_count(network.verdicts, PASSED, NEAR),
        top1=_beside(accuracy.top1, [(source, source.top1) for source in accuracy.sources]) if accuracy else None,
        top5=_beside(accuracy.top5, [(source, source.top5) for source in accuracy.sources]) if accuracy else None,
        worst_layer=_nearest(network.verifications),
    )


def _verdict(checks: Sequence[Check]) -> Overall:
    found = {check.verdict for check in checks}
    if FAILED in found:
        return "failed"
    if found & set(_UNKNOWN):
        return "incomplete"
    return "near" if NEAR in found else "passed"


def _words(checks: Sequence[Check]) -> str:
    """Return the verdict in words: passed 6 of 7; accuracy not judged. What was not verified says so first."""
    failed = [check.check for check in checks if check.verdict == FAILED]
    parts = [f"failed: {', '.join(failed)}"] if failed else []
    unverified = _unverified(checks)
    parts += ["not verified"] if unverified else []
    parts.append(f"passed {_count(checks, PASSED, NEAR)} of {len(checks)}")
    if near := [check.check for check in checks if check.verdict == NEAR]:
        parts.append(f"{', '.join(near)} under weaker conditions")
    for verdict in _UNKNOWN:
        if names := [check.check for check in checks if check.verdict == verdict and check.check not in unverified]:
            parts.append(f"{', '.join(names)} {verdict}")
    return "; ".join(parts)


def _unverified(checks: Iterable[Check]) -> Sequence[str]:
    """Return the checks of a verification if nobody verified the file, else nothing."""
    of_source = [check for check in checks if check.check in _OF_VERIFICATION]
    return () if _count(of_source, NOT_MEASURED) < len(_OF_VERIFICATION) else _OF_VERIFICATION


def _count(checks: Iterable[Check], *verdicts: str) -> int:
    return sum(check.verdict in verdicts for check in checks)


def _beside(measured: Proportion, rows: Iterable[tuple[SourceVerdict, Judged | None]]) -> Beside:
    """Return a measured accuracy beside the published one that decides, or else the first one."""
    found = [(source, judged) for source, judged in rows if judged]
    if not found:
        return Beside(measured.percent, None, "", None)
    source, judged = min(found, key=lambda pair: (not pair[0].decides, not pair[0].own_preprocessing))
    known = read_sources().get(source.kind)
    difference = None if judged.word == NOT_JUDGED else judged.difference
    return Beside(
        measured.percent, judged.published, publisher_title(known.publisher if known else source.kind), difference
    )


def _nearest(verifications: Sequence[Verification]) -> Nearest | None:
    """Return the first layer that differs; without one, the layer that is nearest to its tolerance."""
    found = [row for each in verifications for pair in each.comparisons if (row := first_row(pair))]
    if found and found[0].allowed:
        return Nearest(found[0].layer, found[0].relative, found[0].allowed)
    rows = [
        row
        for each in verifications
        for pair in each.comparisons
        for row in pair.rows
        if row.layer != LOGITS and (row.relative is None or row.allowed)
    ]
    worst = max(rows, key=share_of_tolerance, default=None)
    return Nearest(worst.layer, worst.relative, worst.allowed) if worst else None

"""Sentences of a report: on each network, on all of them, and the warnings for a reader."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from effconvert.architecture.facts import only_assumed
from effconvert.identify.weight_sets import RAW
from effconvert.report.checks import NOT_JUDGED, weaknesses
from effconvert.report.contents.accuracy import Accuracy, Dataset
from effconvert.report.contents.network import Conversion, Network
from effconvert.report.contents.report import Agreement
from effconvert.report.contents.verification import Verification
from effconvert.report.naming import library_name
from effconvert.report.origins import history
from effconvert.validate.accuracy.decimals import places

Plain = Mapping[str, Any]
_TOLD_PAIRS = 10
_OVERALL = {
    "failed": "failed a check",
    "near": "passed every check, some under weaker conditions",
    "passed": "passed every check",
    "incomplete": "could not be checked in full",
}
_VERIFIED = {
    "same": "the same network as its source",
    "same within the given tolerance": "the same network as its source within a looser tolerance",
    "different": "not the same network as its source",
    "not verifiable": "could not be compared with its source",
}


def network_sentence(network: Network) -> str:
    """Return one sentence with the network's origin, its verification and its accuracy."""
    conversion, accuracy = network.conversion, network.accuracy
    converted = f" converted from {library_name(conversion.layout)}" if conversion else ""
    parts = [*_moved(conversion), *_verified(network.verifications)]
    parts += [_measured(accuracy)] if accuracy else ["accuracy not measured"]
    return f"{network.name}{converted}: {'; '.join(parts)}"


def _moved(conversion: Conversion | None) -> Iterator[str]:
    if conversion and conversion.moved is not None:
        left = sum((conversion.left_behind or {}).values())
        yield f"{conversion.moved:,} tensors{f', {left:,} left behind with a reason' if left else ''}"


def _verified(verifications: Sequence[Verification]) -> Iterator[str]:
    if not verifications:
        yield "not verified against its source"
    for each in verifications:
        which = f" ({each.source.path})" if len(verifications) > 1 else ""
        assumed = each.source.assumed
        doubt = f" ({only_assumed(assumed)})" if assumed else ""
        yield f"{_VERIFIED[each.verdict]}{which}{doubt}"


def _measured(accuracy: Accuracy) -> str:
    top1 = accuracy.top1
    measured = f"{top1.percent:.{min(2, places(top1.images))}f} % top-1 on {top1.images:,} images"
    if not accuracy.sources or accuracy.verdict == "not judged":
        return f"{measured}, {accuracy.sentence}"
    judged = [source.top1 for source in accuracy.sources if source.top1.word != "not judged"]
    values = [top1.published for top1 in judged]
    low, high = (f"{value:g}" for value in (min(values), max(values)))
    return f"{measured}, published {low if low == high else f'{low} to {high}'}"


def report_sentence(networks: Sequence[Network]) -> str:
    """Return one sentence on all networks."""
    if len(networks) == 1:
        return str(networks[0].sentence)
    words: Counter[str] = Counter(network.summary.verdict for network in networks)
    parts = [f"{words[verdict]:,} {text}" for verdict, text in _OVERALL.items() if words[verdict]]
    checks = [check for network in networks for check in network.verdicts]
    unjudged = sum((check.check, check.verdict) == ("accuracy", NOT_JUDGED) for check in checks)
    more = f"; the accuracy of {unjudged:,} could not be judged" if unjudged else ""
    return f"{len(networks):,} networks: {', '.join(parts)}{more}"


def uncompared_sentences(found: Agreement, networks: Iterable[Network]) -> tuple[str, ...]:
    """Return sentences on networks that were not compared image by image, or only by the names of images."""
    names = {network.id: network.name for network in networks}
    sentences = [
        f"{names[pair.first]} and {names[pair.second]} are not compared: {pair.reason}"
        for pair in found.refused[:_TOLD_PAIRS]
    ]
    if len(found.refused) > _TOLD_PAIRS:
        sentences.append(f"{len(found.refused) - _TOLD_PAIRS:,} more pairs are not compared")
    if found.by_name:
        matched = some([names[one] for one in found.by_name])
        why = "these runs have no hashes of their images, so images of one name may be different pictures"
        sentences.append(f"images were matched only by name for {matched}; {why}")
    return tuple(sentences)


def some(names: Sequence[str], shown: int = 8) -> str:
    """Return the first names and the number of the others."""
    more = f", and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def warnings_of(network: Network, record: Plain) -> Iterator[str]:
    """Yield each warning once: on weakened checks, and on what a reader must know. record: the run's own."""
    found = [
        *record.get("cautions", ()),
        *_of_weights(record["model"]),
        *(_of_data(network.dataset) if network.dataset else ()),
        *_of_computing(record.get("computing", {})),
        *(network.accuracy.remarks if network.accuracy else ()),
        *(sentence for each in network.verifications for sentence in (*weaknesses(each), *each.cautions)),
    ]
    yield from dict.fromkeys(found)


def _of_weights(model: Plain) -> Iterator[str]:
    origin = model.get("origin")
    if RAW in (model["taken"], (origin or {}).get("taken")):
        yield "the weights are raw, not averages"
    options = history(origin)
    if any("inexact" in each for each in options):
        yield "the file was converted inexactly: its network does not compute the same as the published one"
    said = [model.get("dtype"), *(each.get("dtype") for each in options)]
    for dtype in dict.fromkeys(dtype for dtype in said if dtype in ("float16", "bfloat16")):
        yield f"the file's weights are rounded to {dtype}; the published ones are not"


def _of_data(dataset: Dataset) -> Iterator[str]:
    if dataset.missing:
        yield f"{dataset.missing:,} images of ImageNet are missing (--partial)"
    if dataset.chosen != "all":
        how = "chosen by hand (--subset)" if dataset.chosen == "subset" else "a sample (--limit)"
        yield f"{dataset.evaluated:,} of {dataset.images:,} images were evaluated, {how}"
    if dataset.skipped:
        yield f"{dataset.skipped:,} images could not be read and were left out"


def _of_computing(computing: Plain) -> Iterator[str]:
    if computing.get("pipeline") == "fast":
        yield "the images were prepared by the fast pipeline, which rounds differently than the library's own"
    if computing.get("dtype", "float32") != "float32":
        yield f"computed in {computing['dtype']}"

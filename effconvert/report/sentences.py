"""Sentences of a report: on each network, on all of them, and the warnings for a reader."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from effconvert.architecture.facts import only_assumed
from effconvert.identify.weight_sets import RAW
from effconvert.report.checks import FAILED, NEAR, NOT_JUDGED, PASSED, weaknesses
from effconvert.report.naming import library_name
from effconvert.report.origins import history

Plain = Mapping[str, Any]
_VERIFIED = {
    "same": "the same network as its source",
    "same within the given tolerance": "the same network as its source within a looser tolerance",
    "different": "not the same network as its source",
    "not verifiable": "could not be compared with its source",
}


def network_sentence(network: Plain) -> str:
    """Return one sentence with the network's origin, its verification and its accuracy."""
    conversion, accuracy = network["conversion"], network["accuracy"]
    converted = f" converted from {library_name(conversion['layout'])}" if conversion else ""
    parts = [*_moved(conversion), *_verified(network["verifications"])]
    parts += [_measured(accuracy)] if accuracy else ["accuracy not measured"]
    return f"{network['name']}{converted}: {'; '.join(parts)}"


def _moved(conversion: Plain | None) -> Iterator[str]:
    if conversion and conversion["moved"] is not None:
        left = sum(conversion["left_behind"].values())
        yield f"{conversion['moved']:,} tensors{f', {left:,} left behind with a reason' if left else ''}"


def _verified(verifications: Sequence[Plain]) -> Iterator[str]:
    if not verifications:
        yield "not verified against its source"
    for each in verifications:
        which = f" ({each['source']['path']})" if len(verifications) > 1 else ""
        assumed = each["source"]["assumed"]
        doubt = f" ({only_assumed(assumed)})" if assumed else ""
        yield f"{_VERIFIED[each['verdict']]}{which}{doubt}"


def _measured(accuracy: Plain) -> str:
    top1 = accuracy["top1"]
    measured = f"{top1['percent']:.2f} % top-1 on {top1['images']:,} images"
    if not accuracy["sources"] or accuracy["verdict"] == "not judged":
        return f"{measured}, {accuracy['sentence']}"
    judged = [source["top1"] for source in accuracy["sources"] if source["top1"]["word"] != "not judged"]
    values = [top1["published"] for top1 in judged]
    low, high = (f"{value:g}" for value in (min(values), max(values)))
    return f"{measured}, published {low if low == high else f'{low} to {high}'}"


def report_sentence(networks: Sequence[Plain]) -> str:
    """Return one sentence on all networks."""
    if len(networks) == 1:
        return str(networks[0]["sentence"])
    words = Counter(overall(network) for network in networks)
    parts = [
        f"{words[verdict]:,} {text}"
        for verdict, text in (
            (FAILED, "failed a check"),
            (NEAR, "passed under weaker conditions"),
            (PASSED, "passed every check that was run"),
            (NOT_JUDGED, "could not be judged"),
        )
        if words[verdict]
    ]
    rows = (row for network in networks for row in network["verdicts"])
    unjudged = sum((row["check"], row["verdict"]) == ("accuracy", NOT_JUDGED) for row in rows)
    more = f"; the accuracy of {unjudged:,} could not be judged" if unjudged else ""
    return f"{len(networks):,} networks: {', '.join(parts)}{more}"


def overall(network: Plain) -> str:
    """Return the verdict on a whole network: the worst of its checks; an unjudged accuracy or cost does not count."""
    found = {row["verdict"] for row in network["verdicts"]}
    unseen = any(row["verdict"] == NOT_JUDGED and row["check"] in ("layers", "logits") for row in network["verdicts"])
    order = (FAILED, NOT_JUDGED) if unseen else (FAILED, NEAR, PASSED)
    return next((verdict for verdict in order if verdict in found), NOT_JUDGED)


def warnings_of(network: Plain, record: Plain) -> Iterator[str]:
    """Yield each warning once: on weakened checks, and on what a reader must know. record: the run's own."""
    accuracy = network["accuracy"] or {}
    found = [
        *record.get("cautions", ()),
        *_of_weights(record["model"]),
        *(_of_data(network["dataset"]) if network["dataset"] else ()),
        *_of_computing(record.get("computing", {})),
        *accuracy.get("remarks", ()),
        *(sentence for each in network["verifications"] for sentence in (*weaknesses(each), *each["cautions"])),
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


def _of_data(dataset: Plain) -> Iterator[str]:
    if dataset["missing"]:
        yield f"{dataset['missing']:,} images of ImageNet are missing (--partial)"
    if dataset["chosen"] != "all":
        how = "chosen by hand (--subset)" if dataset["chosen"] == "subset" else "a sample (--limit)"
        yield f"{dataset['evaluated']:,} of {dataset['images']:,} images were evaluated, {how}"
    if dataset["skipped"]:
        yield f"{dataset['skipped']:,} images could not be read and were left out"


def _of_computing(computing: Plain) -> Iterator[str]:
    if computing.get("pipeline") == "fast":
        yield "the images were prepared by the fast pipeline, which rounds differently than the library's own"
    if computing.get("dtype", "float32") != "float32":
        yield f"computed in {computing['dtype']}"

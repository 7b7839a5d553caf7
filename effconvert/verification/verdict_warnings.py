"""Warnings beside a verdict: what was assumed, left out, or run in an unexpected way."""

from collections.abc import Iterator

from effconvert.architecture.canonical import CANONICAL
from effconvert.identify.library_builds import differing_facts
from effconvert.identify.weight_sets import RAW
from effconvert.option_words import flag, option
from effconvert.verification.network_files import NetworkFile
from effconvert.verification.runs import Run
from effconvert.verification.verdict import lacks_background


def warnings_for(source: NetworkFile, converted: NetworkFile, reference: Run) -> Iterator[str]:
    """Yield the warnings on a verification of `converted` against `source`."""
    if reference.record["framework"] == CANONICAL:
        yield (
            f"{source.path} is already canonical, so no other framework took part; "
            "verify against the original checkpoint instead"
        )
    elif "given" in reference.record["loader"] and not source.rounded:
        yield f"the framework's own loader cannot read {source.path}; effconvert read the tensors for it"
    if lacks_background(source.facts.to_dict(), converted.facts.to_dict()):
        yield "the converted file does not have the source's class 0, the background class; it is not compared"
    if _is_of_another_source(source, converted):
        yield f"{converted.path} was converted from another file than {source.path}, as its own record says"
    description = converted.identity.description
    if description and description.taken == RAW and source.other and source.coverage.taken != RAW:
        ran = "the source ran with its averages"
        yield f"the converted file has the raw weights, but {ran}; {flag('raw')} runs its raw weights"
    if source.options.facts:
        given = ", ".join(f"{name}={value}" for name, value in source.options.facts.items())
        yield f"{source.path}: {given} was set by {option('facts')}, not detected"
    yield from (f"{source.path}: {words}" for words in source.identity.doubts)
    if sentence := inexactness(converted):
        yield sentence
    if description and _normalise_otherwise(source, converted):
        ours, theirs = (_normalisation(file) for file in (source, converted))
        yield f"preprocessing: {source.path} needs {ours}, {converted.path} needs {theirs}"


def inexactness(converted: NetworkFile) -> str:
    """Return a sentence on an inexact conversion, "" for an exactly converted file."""
    names = list(differing_facts(converted.network_facts, converted.facts))
    if not names:
        return ""
    has = ", ".join(f"{name} {getattr(converted.network_facts, name)}" for name in names)
    wants = ", ".join(str(getattr(converted.facts, name)) for name in names)
    return f"{converted.path} was converted inexactly: its library's network has {has}, but the weights need {wants}"


def _is_of_another_source(source: NetworkFile, converted: NetworkFile) -> bool:
    """Return whether the converted file names another source, and the two files are not related or equal."""
    files = [source, converted]
    said = [set(_texts(file.identity.description.source)) if file.identity.description else set() for file in files]
    hashes = [set(file.sha256.values()) for file in files]
    related = said[1] & hashes[0] or said[0] & hashes[1] or hashes[0] & hashes[1]
    return bool(said[1]) and not related


def _normalise_otherwise(source: NetworkFile, converted: NetworkFile) -> bool:
    ours, theirs = (file.recipe.mean + file.recipe.std for file in (source, converted))
    return any(abs(one - other) > 1e-3 for one, other in zip(ours, theirs, strict=True))


def _normalisation(file: NetworkFile) -> str:
    means, stds = (", ".join(f"{value:g}" for value in values) for values in (file.recipe.mean, file.recipe.std))
    return f"mean {means} and std {stds}"


def _texts(value: object) -> Iterator[str]:
    """Yield every string in nested lists and dicts."""
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(each)

"""Records of files in words: options, facts, tolerances and provenance, for the renderings."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from effconvert.report.contents.accuracy import Recipe
from effconvert.report.contents.network import Network
from effconvert.report.contents.plain_values import to_plain
from effconvert.report.contents.report import Report
from effconvert.report.contents.verification import Source, Tolerance, Verification
from effconvert.report.renderings.numbers_text import count, error, plain

# What an option of a conversion means; {} is its value in words.
_OPTIONS = {
    "raw": "raw weights",
    "root": "tensors under {}",
    "backbone": "without the classifier",
    "classifier": "classifier {}",
    "leave": "left behind: {}",
    "dtype": "written as {}",
    "drop_background_class": "background class dropped",
    "facts": "facts given: {}",
    "assumed": "assumed: {}",
    "assumed_head": "assumed head: {}",
    "assumed_recipe": "assumed preprocessing: {}",
    "recipe": "preprocessing {}",
}


def options_words(options: Mapping[str, Any]) -> str:
    """Return the options of a conversion in words, with those of earlier conversions of the file; "" without any."""
    earlier = [entry for entry in _as_list(options.get("earlier")) if isinstance(entry, Mapping)]
    said = "; ".join(_option(name, value) for name, value in options.items() if name != "earlier" and value)
    before = [words for entry in earlier if (words := options_words(entry))]
    return "; ".join([*filter(None, [said]), *(f"before: {words}" for words in before)])


def _option(name: str, value: Any) -> str:
    if isinstance(value, Mapping) and name == "fold_eps" and {"from", "to"} <= value.keys():
        return f"bn_eps {in_words(value['from'])} folded into {in_words(value['to'])}"
    if isinstance(value, Mapping) and name == "inexact" and "difference" in value:
        doubt = f", assumed: {in_words(value['assumed'])}" if value.get("assumed") else ""
        return f"inexact: outputs differ by {in_words(value['difference'])} of the largest{doubt}"
    if name in _OPTIONS:
        return _OPTIONS[name].replace("{}", in_words(value))
    return _setting(name, value)


def settings(values: Mapping[str, Any]) -> str:
    """Return keys and values in one line: bn_eps 0.001, padding tf-same; without what is empty or False."""
    return ", ".join(_setting(key, value) for key, value in values.items() if not _is_empty(value))


def _is_empty(value: Any) -> bool:
    return value is None or value is False or (not isinstance(value, int | float) and not value)


def _setting(key: str, value: Any) -> str:
    return str(key) if value is True else f"{key} {in_words(value)}"


def in_words(value: Any) -> str:
    """Return any value of a record without brackets and quotes: tf-same, 1e-5, 123.675 116.28 103.53."""
    if isinstance(value, Mapping):
        return settings(value)
    if isinstance(value, list | tuple):
        numbers = all(isinstance(each, int | float) for each in value)
        return (" " if numbers else ", ").join(map(in_words, value))
    if isinstance(value, float) and 0 < abs(value) < 1e-3:
        return error(value)
    return plain(value) if isinstance(value, bool | float) or value is None else str(value)


def facts_text(facts: Mapping[str, Any]) -> str:
    """Return facts in one line, without the usual three channels."""
    plain_facts = {name: plain(value) if isinstance(value, bool) else value for name, value in facts.items()}
    return settings({name: value for name, value in plain_facts.items() if (name, value) != ("in_channels", 3)})


def recipe_text(recipe: Recipe) -> str:
    """Return a preprocessing in one line, without empty steps."""
    return settings({name: value or None for name, value in to_plain(recipe).items()})


def tolerance_text(tolerance: Tolerance) -> str:
    """Return a tolerance in one line: 2e-5 end to end, 5e-6 isolated."""
    parts = [f"{error(tolerance.accumulated)} end to end", f"{error(tolerance.fed)} isolated"]
    parts += ["looser than usual"] if tolerance.relaxed else []
    parts += [f"for weights rounded to {tolerance.rounded}"] if tolerance.rounded else []
    return ", ".join(parts)


def engine_text(engine: Mapping[str, Any]) -> str:
    """Return the engine in one line, with what its check measured, or why no other than torch was taken."""
    check, refused = engine.get("check"), engine.get("refused") or {}
    found = f"{engine['name']} {engine['version']}"
    if isinstance(check, Mapping):
        found += (
            f": the logits of {count(check['images'])} images differ from torch's by {error(check['difference'])} of "
            f"the largest (allowed: {error(check['tolerance'])})"
        )
    return "; ".join([found, *(f"not taken: {words}" for words in refused.values())])


def command(document: Report) -> str:
    """Return the command that reproduces the report."""
    runs = [file.path for file in document.inputs if file.kind == "run"]
    verifications = [file.path for file in document.inputs if file.kind == "verification"]
    words = [*runs, *(word for path in verifications for word in ("--verify", path)), "--out", "report"]
    return shlex.join(["effconvert", "report", *words])


def provenance(network: Network) -> list[tuple[str, str]]:
    """Return the origin of a network's numbers, as (label, text)."""
    return [(label, text) for label, text in _provenance(network) if text]


def _provenance(network: Network) -> Iterator[tuple[str, str]]:
    model, source = network.model, network.conversion
    yield "File", model.file
    yield from _hashes("SHA-256 of", model.sha256)
    yield "Layout", model.layout
    yield "Weights", _joined([network.weights, model.taken])
    yield "Facts", facts_text(model.facts)
    yield "Classes, parameters", f"{count(model.classes)}, {count(model.parameters)}"
    yield "Type of the values", model.dtype or ""
    if source:
        yield "Converted from", _joined([source.layout, source.taken, source.url])
        yield from _hashes("SHA-256 of the source", source.source_sha256)
        yield "SHA-256 of the map", source.map_sha256 or ""
        yield "Options", options_words(source.options)
    yield "Preprocessing", recipe_text(network.recipe) if network.recipe else ""
    yield from _measuring(network)


def _measuring(network: Network) -> Iterator[tuple[str, str]]:
    dataset, run = network.dataset, network.provenance
    if dataset:
        yield "Images", f"{dataset.path}: {count(dataset.evaluated)} of {count(dataset.images)} evaluated"
        yield "Fingerprint of the images", dataset.fingerprint or ""
    for verified in network.verifications:
        yield from _verification(verified)
    yield "Run", _joined([run.run_file, run.finished])
    yield "Device", run.device or ""
    computing = dict(run.computing or {})
    engine = computing.pop("engine", None)
    yield "Engine", engine_text(engine) if isinstance(engine, Mapping) else ""
    yield "Computing", settings(computing)
    yield "Versions", settings(run.versions)


def _verification(verified: Verification) -> Iterator[tuple[str, str]]:
    images = verified.inputs
    yield "Verification", f"{verified.file}: {verified.sentence}"
    yield from _verified_against(verified.source)
    yield "Verified with", f"{count(images.count)} {_KINDS[images.kind]} of {count(images.size)} px"
    yield "SHA-256 of these images", images.sha256
    yield "Tolerance", tolerance_text(verified.tolerance)


_KINDS = {"synthetic": "synthetic images", "images": "images"}


def _verified_against(source: Source) -> Iterator[tuple[str, str]]:
    yield "Verified against", source.path
    yield "Run by", _joined([source.framework, source.network, f"loaded by {source.loader}"])
    yield "Source's weights", _joined([source.layout, source.variant, source.taken, source.dtype])
    yield "Source's facts", facts_text(source.facts)
    yield "Assumed of the source", in_words(source.assumed)
    yield from _hashes("SHA-256 of the source", source.sha256)


def _hashes(label: str, hashes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in hashes.items():
        yield f"{label} {name}" if name else label, value


def _joined(parts: Iterable[str | None]) -> str:
    return ", ".join(filter(None, parts))


def _as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()

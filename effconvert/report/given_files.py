"""Input files of a report, each checked against its schema before anything in it is used."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from effconvert.architecture.facts import complete
from effconvert.budget import Budget, guarded
from effconvert.errors import EffconvertError, LayoutMismatch, MissingPath, UnreadableCheckpoint, listing
from effconvert.formats import file_kinds
from effconvert.formats.checkpoint import DataFile, read_whole
from effconvert.formats.strict_json import parse_json
from effconvert.option_words import flag
from effconvert.paths import require_path
from effconvert.preprocessing.recipes import Recipe
from effconvert.report.renderings.text import visible
from effconvert.report.schema import VALIDATION, VERIFICATION, problems
from effconvert.validate.predictions import Predictions, is_predictions, predictions_in, sharing_arrays

_VERIFICATION_SCHEMA = "effconvert/verification/1"
_LARGEST_JSON = 1 << 26
_SAME = ("same", "same within the given tolerance")
_WANTED = "a report needs runs of `effconvert validate` and files of `effconvert verify --json`"


@dataclass(frozen=True)
class RunInput:
    """A run of `effconvert validate`."""

    path: str
    sha256: str
    predictions: Predictions = field(repr=False)

    @property
    def record(self) -> Mapping[str, Any]:
        """The run's own record."""
        return self.predictions.record


@dataclass(frozen=True)
class VerificationInput:
    """A file of `effconvert verify --json`."""

    path: str
    sha256: str
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Inputs:
    """Every input once, in an order that depends only on the contents."""

    runs: tuple[RunInput, ...]
    verifications: tuple[VerificationInput, ...]


def read_inputs(paths: Iterable[str | Path]) -> Inputs:
    """Return the runs and verifications in the files at `paths`.

    Raises MissingPath or UnreadableCheckpoint with the problems of all files.
    """
    read: dict[str, RunInput | VerificationInput] = {}
    failures: list[EffconvertError] = []
    for path in sorted(set(map(Path, paths))):
        try:
            found = _read(path)
            if isinstance(found, RunInput):
                others = (each.predictions for each in read.values() if isinstance(each, RunInput))
                found = replace(found, predictions=sharing_arrays(found.predictions, others))
            read.setdefault(found.sha256, found)
        except EffconvertError as error:
            failures.append(error)
    if failures:
        raise _together(failures)
    ordered = [read[sha256] for sha256 in sorted(read)]
    return Inputs(
        tuple(each for each in ordered if isinstance(each, RunInput)),
        tuple(each for each in ordered if isinstance(each, VerificationInput)),
    )


def _together(failures: list[EffconvertError]) -> EffconvertError:
    """Return one error with the lines of all; MissingPath only if all files are missing."""
    kind = MissingPath if all(isinstance(error, MissingPath) for error in failures) else UnreadableCheckpoint
    lines = [line.strip() for error in failures for line in str(error).splitlines()]
    return kind(lines[0] if len(lines) == 1 else listing("these files cannot be reported:", lines))


def _read(path: Path) -> RunInput | VerificationInput:
    require_path(path)
    if not path.is_file():
        raise UnreadableCheckpoint(f"{path}: is not a file; give the runs in it, e.g. {path}/*.npz")
    if path.suffix.startswith(".part-"):
        raise UnreadableCheckpoint(f"{path}: is an unfinished run of `validate`; finish it with {flag('resume')}")
    kind = file_kinds.kind_of(path)
    if kind not in (None, file_kinds.PREDICTIONS, file_kinds.VERIFICATION, file_kinds.RESULT):
        raise UnreadableCheckpoint(f"{path}: {kind.words}; {_WANTED}")
    try:
        with guarded(path):
            return _read_run(path) if is_predictions(path) else _read_verification(path)
    except OSError as error:
        raise UnreadableCheckpoint(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_run(path: Path) -> RunInput:
    with DataFile(path) as file:
        predictions = predictions_in(file)
        _check(path, _run_problems(predictions.record, len(predictions), file.budget))
        return RunInput(str(path), file.sha256(), predictions)


def _run_problems(record: Mapping[str, Any], images: int, budget: Budget) -> Iterator[str]:
    found = problems(record, VALIDATION, budget)
    yield from found
    if not found:
        said = record["dataset"].get("evaluated", images)
        if said != images:
            yield f"$.dataset.evaluated: is {said:,}, but there are predictions for {images:,} images"
        yield from _refusal("$.model.facts", complete, record["model"]["facts"])
        yield from _refusal("$.recipe", Recipe.from_dict, record["recipe"])


def _read_verification(path: Path) -> VerificationInput:
    document, budget, sha256 = _parsed(path)
    schema = document.get("schema")
    if schema != _VERIFICATION_SCHEMA:
        found = visible(repr(schema))[:80]
        raise UnreadableCheckpoint(f"{path}: its schema is {found}, not {_VERIFICATION_SCHEMA!r}; {_WANTED}")
    _check(path, problems(document, VERIFICATION, budget))
    _check(path, (*_contradictions(document), *_refusal("$.converted.facts", complete, document["converted"]["facts"])))
    return VerificationInput(str(path), sha256, document)


def _contradictions(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield contradictions: a verdict "same" with layers that differ."""
    if document["verdict"] in _SAME:
        for number, comparison in enumerate(document["comparisons"]):
            failed = sum(not row["passed"] for row in comparison["rows"])
            if failed or not comparison["same"]:
                place = f"$.comparisons[{number}]"
                yield f"$.verdict: {document['verdict']!r}, but {place} differs, in {failed} of its rows"


def _parsed(path: Path) -> tuple[dict[str, Any], Budget, str]:
    """Return the document, the budget that is left for it, and the SHA-256 of the file."""
    content = read_whole(path, _LARGEST_JSON, f", too many for a verification; {_WANTED}")
    if content.startswith(b"PK"):
        raise UnreadableCheckpoint(f"{path}: has no predictions (files of `effconvert run` do not); {_WANTED}")
    try:
        budget = Budget(path, len(content))
        document = parse_json(content, budget)
    except (ValueError, RecursionError) as error:
        words = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise UnreadableCheckpoint(f"{path}: is neither a run nor JSON ({words}); {_WANTED}") from error
    if not isinstance(document, dict):
        raise UnreadableCheckpoint(f"{path}: $: must be an object, is {type(document).__name__}; {_WANTED}")
    return document, budget, hashlib.sha256(content).hexdigest()


def _refusal(place: str, read: Callable[[Any], object], value: Any) -> Iterator[str]:
    try:
        read(value)
    except LayoutMismatch as error:
        yield f"{place}: {error}"


def _check(path: Path, found: Iterable[str]) -> None:
    lines = [f"{path}: {visible(problem)}" for problem in found]
    if lines:
        raise UnreadableCheckpoint("\n".join(lines))

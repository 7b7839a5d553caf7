"""Document of a report: everything that its renderings show, once, in plain values."""

import json
import platform
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from effconvert.architecture.facts import complete
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import MissingPath
from effconvert.report.given_files import Inputs, RunInput, VerificationInput, read_inputs
from effconvert.report.matrices import compare_answers
from effconvert.report.naming import unique_ids
from effconvert.report.networks import Verifications, network_of_run, network_of_verification
from effconvert.report.publications import published_block, published_sentence
from effconvert.report.sentences import report_sentence
from effconvert.version import VERSION

SCHEMA = "effconvert/report/1"
RUNS, PUBLISHED = "runs", "published"
_Known = tuple[str, ...]


def build_report(runs: Sequence[str | Path], verifications: Sequence[str | Path] = ()) -> dict[str, Any]:
    """Return the report on `runs`, files of `validate`, and `verifications`, files of `verify --json`.

    A file's content decides what it is, whichever list it is in. Each run is a network, with every verification of the
    same file, found by its hash; a file that was only verified is a network too. The same inputs in any order give the
    same document except for `run`.

    Raises MissingPath, also without any input, or UnreadableCheckpoint with the problems of all inputs.

    Example: `build_report(["effconvert-runs/b0.npz"], ["report.json"])["sentence"]`
    """
    paths = [*runs, *verifications]
    if not paths:
        raise MissingPath("a report needs a run of `validate` or a verification (`verify --json`)")
    inputs = read_inputs(paths)
    subjects = _subjects(inputs)
    ids = list(unique_ids(subject.path for subject in subjects))
    networks = _told_apart(_networks(subjects, ids))
    answers = [(name, each.run.predictions) for name, each in zip(ids, subjects, strict=True) if each.run]
    return _document(
        RUNS,
        title=networks[0]["name"] if len(networks) == 1 else f"EfficientNet: {len(networks):,} networks",
        sentence=report_sentence(networks),
        networks=networks,
        agreement=compare_answers(answers) if len(answers) > 1 else None,
        inputs=[*_listed("run", inputs.runs), *_listed("verification", inputs.verifications)],
    )


def _listed(kind: str, group: Sequence[RunInput | VerificationInput]) -> list[dict[str, str]]:
    ordered = sorted(group, key=lambda each: each.path)
    return [{"path": each.path, "kind": kind, "sha256": each.sha256} for each in ordered]


def published_report() -> dict[str, Any]:
    """Return the report on published numbers, without a network of the user."""
    title = "EfficientNet: published numbers"
    return _document(PUBLISHED, title, published_sentence(), networks=[], agreement=None, inputs=[])


def _document(kind: str, title: str, sentence: str, **parts: Any) -> dict[str, Any]:
    document = {
        "schema": SCHEMA,
        "kind": kind,
        "title": title,
        "sentence": sentence,
        **parts,
        "published": published_block(),
        "run": {"effconvert": VERSION, "python": platform.python_version(), "machine": platform.platform()},
    }
    return {name: _in_unicode(value) for name, value in document.items()}


@dataclass(frozen=True)
class _Subject:
    """The inputs for one network of the report: a run or None, and the verifications of its file."""

    run: RunInput | None
    verifications: tuple[VerificationInput, ...]

    @property
    def path(self) -> str:
        """The path that names the network: the run's, or else the verified file's."""
        return self.run.path if self.run else str(self.verifications[0].document["converted"]["path"])

    @property
    def order(self) -> tuple[Any, ...]:
        """The sort key: variants in their usual order, then trainings, preprocessing and files."""
        if self.run is None:
            said = self.verifications[0].document["converted"]
            return list(VARIANTS).index(said["variant"]), said.get("weights") or "", "", 0, self.path, ""
        model, recipe = self.run.record["model"], self.run.record["recipe"]
        rank = list(VARIANTS).index(model["variant"])
        return rank, model["weights"] or "", recipe["name"], recipe["size"], self.path, self.run.sha256


def _subjects(inputs: Inputs) -> list[_Subject]:
    of_network: dict[_Known, list[VerificationInput]] = {}
    for each in sorted(inputs.verifications, key=lambda each: (each.path, each.sha256)):
        of_network.setdefault(_known_by(each.document["converted"]), []).append(each)
    found = [_Subject(run, tuple(_verifications_of(run.record["model"], of_network))) for run in inputs.runs]
    taken = {each.sha256 for subject in found for each in subject.verifications}
    alone: dict[tuple[_Known, str | None], tuple[VerificationInput, ...]] = {}
    for known, group in of_network.items():
        for each in (each for each in group if each.sha256 not in taken):
            key = known, each.document["converted"].get("tensors")
            alone[key] = (*alone.get(key, ()), each)
    found += [_Subject(None, group) for group in alone.values()]
    return sorted(found, key=lambda subject: subject.order)


def _known_by(file: Mapping[str, Any]) -> _Known:
    """Return the identity of a network, independent of paths; one file may hold raw weights and averages."""
    facts = json.dumps(complete(file["facts"]).to_dict(), sort_keys=True)
    return (str(file["variant"]), str(file["taken"]), facts, *sorted(file["sha256"].values()))


def _verifications_of(
    model: Mapping[str, Any], of_network: Mapping[_Known, Sequence[VerificationInput]]
) -> Iterator[VerificationInput]:
    """Yield the verifications of a run's model; if both record their tensors, these must be the same."""
    for each in of_network.get(_known_by(model), ()):
        tensors = each.document["converted"].get("tensors"), model.get("tensors")
        if None in tensors or tensors[0] == tensors[1]:
            yield each


def _networks(subjects: Sequence[_Subject], ids: Sequence[str]) -> list[dict[str, Any]]:
    named: dict[str, str] = {}
    networks = []
    for name, subject in zip(ids, subjects, strict=True):
        verifications = _with_ids(name, subject.verifications, named)
        if subject.run:
            networks.append(network_of_run(name, subject.run, verifications))
        else:
            networks.append(network_of_verification(name, verifications))
    return networks


def _with_ids(network: str, group: Sequence[VerificationInput], named: dict[str, str]) -> Verifications:
    """Return the verifications of a file with their ids; an id comes from the first network with the verification."""
    for each in (each for each in group if each.sha256 not in named):
        numbered = (network if number == 1 else f"{network}.{number}" for number in count(1))
        named[each.sha256] = next(name for name in numbered if name not in named.values())
    return [(named[each.sha256], each) for each in group]


def _told_apart(networks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the networks, with the id added to names that several networks have."""
    counts = Counter(network["name"] for network in networks)
    for network in networks:
        name = network["name"]
        if counts[name] > 1:
            network["name"] = f"{name}, {network['id']}"
            network["sentence"] = network["name"] + network["sentence"].removeprefix(name)
    return networks


def _in_unicode(value: Any) -> Any:
    """Return `value` with invalid characters replaced by a mark, as in a file name that is not UTF-8."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_in_unicode(name): _in_unicode(each) for name, each in value.items()}
    return [_in_unicode(each) for each in value] if isinstance(value, list | tuple) else value

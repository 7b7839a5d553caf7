"""Document of a report: everything that its renderings show, once."""

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

from effconvert.architecture.facts import complete
from effconvert.architecture.variants import VARIANTS
from effconvert.errors import MissingPath
from effconvert.report.contents.network import Network
from effconvert.report.contents.plain_values import in_unicode
from effconvert.report.contents.report import Agreement, Input, Made, Report
from effconvert.report.given_files import Inputs, RunInput, VerificationInput, read_inputs
from effconvert.report.matrices import compare_answers
from effconvert.report.naming import unique_ids
from effconvert.report.networks import Verifications, network_of_run, network_of_verification
from effconvert.report.publications import published_block, published_sentence
from effconvert.report.sentences import report_sentence, uncompared_sentences
from effconvert.version import VERSION

_Known = tuple[str, ...]


def build_report(runs: Sequence[str | Path], verifications: Sequence[str | Path] = ()) -> Report:
    """Return the report on `runs`, files of `validate`, and `verifications`, files of `verify --json`.

    A file's content decides what it is, whichever list it is in. Each run is a network, with every verification of the
    same file, found by its hash; a file that was only verified is a network too. The same inputs in any order give the
    same document except for `run`.

    Raises MissingPath, also without any input, or UnreadableCheckpoint with the problems of all inputs.

    Example: `build_report(["effconvert-runs/b0.npz"], ["report.json"]).sentence`
    """
    paths = [*runs, *verifications]
    if not paths:
        raise MissingPath("a report needs a run of `validate` or a verification (`verify --json`)")
    inputs = read_inputs(paths)
    subjects = _subjects(inputs)
    ids = list(unique_ids(subject.path for subject in subjects))
    networks = _told_apart(_networks(subjects, ids))
    answers = [(name, each.run.predictions) for name, each in zip(ids, subjects, strict=True) if each.run]
    title = networks[0].name if len(networks) == 1 else f"EfficientNet: {len(networks):,} networks"
    agreement = _agreement(compare_answers(answers) if len(answers) > 1 else None, networks)
    listed = (*_listed("run", inputs.runs), *_listed("verification", inputs.verifications))
    return _document("runs", title, report_sentence(networks), networks, agreement, listed)


def _agreement(found: Agreement | None, networks: Sequence[Network]) -> Agreement | None:
    """Return the agreement with its sentences, in which networks have their names."""
    return replace(found, uncompared=uncompared_sentences(found, networks)) if found else None


def _listed(kind: Literal["run", "verification"], group: Sequence[RunInput | VerificationInput]) -> Iterator[Input]:
    return (Input(each.path, kind, each.sha256) for each in sorted(group, key=lambda each: each.path))


def published_report() -> Report:
    """Return the report on published numbers, without a network of the user."""
    return _document("published", "EfficientNet: published numbers", published_sentence(), (), None, ())


def _document(
    kind: Literal["runs", "published"],
    title: str,
    sentence: str,
    networks: Sequence[Network],
    agreement: Agreement | None,
    inputs: tuple[Input, ...],
) -> Report:
    return in_unicode(
        Report(
            schema="effconvert/report/1",
            kind=kind,
            title=title,
            sentence=sentence,
            networks=tuple(networks),
            agreement=agreement,
            published=published_block(),
            inputs=inputs,
            run=Made(VERSION, platform.python_version(), platform.platform()),
        )
    )


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


def _networks(subjects: Sequence[_Subject], ids: Sequence[str]) -> list[Network]:
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


def _told_apart(networks: Sequence[Network]) -> list[Network]:
    """Return the networks, with the id added to all names if several networks have the same."""
    names = {network.name for network in networks}
    return list(networks) if len(names) == len(networks) else [_named_by_id(network) for network in networks]


def _named_by_id(network: Network) -> Network:
    name = f"{network.name}, {network.id}"
    return replace(network, name=name, sentence=name + network.sentence.removeprefix(network.name))

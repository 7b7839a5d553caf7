"""Procedure of a verification: the real framework runs the source, and the converted file runs on the same images."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from effconvert.architecture.canonical import CANONICAL
from effconvert.architecture.facts import complete
from effconvert.atomic import check_folder_name, reported
from effconvert.errors import LayoutMismatch, OutputProblem
from effconvert.identify.library_builds import differing_facts
from effconvert.identify.weight_sets import AVERAGES, RAW
from effconvert.option_words import option
from effconvert.options import Options
from effconvert.shown import Row, Shown
from effconvert.temporary import temporary_folder
from effconvert.verification.availability import check_installed
from effconvert.verification.comparison import plain
from effconvert.verification.execution import settings_of
from effconvert.verification.inputs import Images, Inputs
from effconvert.verification.launching import interpreter
from effconvert.verification.network_files import NetworkFile, examine
from effconvert.verification.rounding import (
    Rounding,
    in_double,
    judge,
    measure_rounding,
    rounding_cost,
)
from effconvert.verification.runs import Run, open_run
from effconvert.verification.second_conversion import command_again
from effconvert.verification.sides import Progress, Side, Steps, run_sides
from effconvert.verification.tensor_differences import unlike_tensors
from effconvert.verification.trials import Trial
from effconvert.verification.verdict import DIFFERENT, RELAXED, SAME, Verdict, reach_verdict
from effconvert.verification.verdict_warnings import inexactness, warnings_for

SCHEMA = "effconvert/verification/1"
_CANONICAL_ONLY = "the library of the converted file did not run it: only the canonical network was compared"


@dataclass(frozen=True, repr=False)
class Verification(Shown):
    """The result of a verification.

    reference: {framework, network, loader} of the source's run. roundings: of the reference and of each run of the
    converted file, the canonical network's first; () if not measured. judgement: which side is wrong. unlike:
    {canonical name: largest relative difference} of tensors with different values in the files. tensors: {canonical
    name: (name in the source, whether the files' values differ)} of the first diverging layer. trials: the tried
    causes. rounding_cost: the change of the outputs in float64, as a share of the largest, when the source's weights
    are rounded like the converted file's; None if not measured.
    """

    verdict: Verdict
    source: NetworkFile
    converted: NetworkFile
    inputs: Inputs
    reference: Mapping[str, str]
    roundings: tuple[Rounding, ...] = ()
    judgement: str = ""
    unlike: Mapping[str, float] = field(default_factory=dict)
    tensors: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    cautions: tuple[str, ...] = ()
    rounding_cost: float | None = None

    @property
    def same(self) -> bool:
        """Whether the two files are the same network."""
        return self.verdict.word in (SAME, RELAXED)

    @property
    def line(self) -> str:
        """The verdict in one line, with the files."""
        return f"{self.converted.path} and {self.source.path}: {self.verdict.sentence}"

    def to_rows(self) -> list[Row]:
        """Return a row for each layer that was compared: of each network that ran the file, in each mode.

        mode: `accumulated` after the network's own earlier layers, `fed` with the reference's input. relative, allowed:
        max |Δ| and its tolerance, as shares of the layer's largest value in the reference.
        """
        names = "layer mode relative allowed largest mean scale cosine at passed"
        return [
            {"framework": pair.framework} | {name: getattr(row, name) for name in names.split()}
            for pair in self.verdict.pairs
            for row in pair.comparison.rows
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the verification as plain values; a file of them as JSON can be reported."""
        return {
            **self.verdict.to_dict(),
            "schema": SCHEMA,
            "converted": self.converted.to_dict(),
            "source": self.source.to_dict() | dict(self.reference),
            "inputs": {**self.inputs.words, "sha256": self.inputs.sha256},
            "roundings": [plain(vars(rounding)) for rounding in self.roundings],
            "rounding_cost": plain(self.rounding_cost),
            "judgement": self.judgement,
            "tensors_of_first": [
                {"canonical": name, "source": source, "values_differ": differs}
                for name, (source, differs) in self.tensors.items()
            ],
            "unlike_tensors": plain(dict(self.unlike)),
            "causes": [plain(vars(trial)) for trial in self.trials],
            "cautions": list(self.cautions),
        }

    @property
    def library_alone(self) -> bool:
        """Whether only the network of the converted file's library differs, and the canonical network does not."""
        return self.verdict.failing is not None and self.verdict.failing != self.verdict.pairs[0]


def verify(
    converted: str | Path,
    source: str | Path,
    *,
    framework: str = "auto",
    images: Images | None = None,
    reading: Options | None = None,
    key: bytes | None = None,
    pythons: Mapping[str, str] = MappingProxyType({}),
    tolerance: float | None = None,
    in_float64: bool = True,
    causes: bool = False,
    keep: str | Path | None = None,
    canonical_only: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Verify that the file `converted` is the same network as `source`, and return the result.

    The source's own framework runs `source`. The canonical network runs `converted`; if that has a library's layout,
    the library runs it too, unless `canonical_only`. Each runs in its own process. framework: of the source; `auto`
    follows from its layout. images: two synthetic ones by default. reading: how to read `source`, as in `convert`, with
    facts that the file does not record. key: of an encrypted source. pythons: {framework: interpreter}; that of `any`
    is for all frameworks that it has. tolerance: instead of the dtype's. in_float64: measure each side's rounding.
    causes: after a mismatch, try the known causes. keep: a folder for the runs. progress: gets the words for each step
    that begins; it may return a function that is called when the step ends, as networks run at the same time.

    Raises MissingPath, UnreadableCheckpoint, LayoutMismatch, Unavailable for a missing framework, NumericMismatch if
    nothing can be compared, OutputProblem for `keep`.

    Example: `effconvert.verify("b0.safetensors", "efficientnet-b0/").same`
    """
    if keep is not None:
        check_folder_name(Path(keep), "--keep")
    unrounded, result = examine(source, reading or Options(), key), examine(converted)
    _check_variants(unrounded, result)
    original = unrounded.rounded_like(result)
    names = [framework if framework != "auto" else original.framework, CANONICAL]
    names += [result.framework] if not canonical_only and result.framework != CANONICAL else []
    progress = progress or (lambda words: None)
    steps = Steps(progress)
    steps.begin("looking for the frameworks")
    programs = [interpreter(name, pythons) for name in names]
    inputs = (images or Images()).prepared(original.recipe, original.identity.variant.name)
    settings_of(original, names[0], inputs, None)  # raises LayoutMismatch for a file of another framework
    check_installed(dict(zip(names, programs, strict=True)), pythons)
    with _folder(keep) as folder, ExitStack() as stack:
        paths = [folder / "source.npz", *(folder / f"converted-{name}.npz" for name in names[1:])]
        _check_new(paths)
        files = [original, *(result for _ in names[1:])]
        steps.end()
        run_sides([Side(*side) for side in zip(files, names, programs, paths, strict=True)], inputs, progress)
        runs = [stack.enter_context(open_run(path)) for path in paths]
        steps.begin("comparing layers and tensors")
        found = _with_tensors(_found(original, result, inputs, runs, tolerance))
        if canonical_only and result.identity.layout_name != CANONICAL:
            found = replace(found, cautions=(*found.cautions, _CANONICAL_ONLY))
        if in_float64:
            steps.begin("measuring the rounding, against float64")
            found = _with_roundings(found, unrounded, runs)
        if causes:
            found = replace(found, trials=_explained(found, runs, steps.begin))
        steps.end()
        return found


def _found(
    source: NetworkFile, converted: NetworkFile, inputs: Inputs, runs: Sequence[Run], tolerance: float | None
) -> Verification:
    reference, *others = runs
    said = {"framework": reference.words, **{name: reference.record[name] for name in ("network", "loader")}}
    return Verification(
        reach_verdict(reference, others, tolerance),
        source,
        converted,
        inputs,
        said,
        cautions=tuple(warnings_for(source, converted, reference)),
    )


def _check_variants(source: NetworkFile, converted: NetworkFile) -> None:
    if source.identity.variant != converted.identity.variant:
        raise LayoutMismatch(
            f"{converted.path}: is {converted.identity.variant.name}, "
            f"but {source.path} is {source.identity.variant.name}; give two files of the same network"
        )
    channels = [file.facts.in_channels for file in (converted, source)]
    if channels[0] != channels[1]:
        raise LayoutMismatch(
            f"{converted.path}: takes images with {channels[0]} channels, but {source.path} takes {channels[1]}; "
            "give two files of the same network"
        )


def _with_tensors(found: Verification) -> Verification:
    """Compare the files' tensors, and name those of the first diverging layer.

    A gate's kernel that is wrong by a thousandth changes its layer by less than rounding; it is found only here.
    """
    unlike = unlike_tensors(found.source, found.converted)
    if found.verdict.word == SAME and unlike:
        found = replace(found, verdict=replace(found.verdict, word=DIFFERENT, unlike=unlike))
    found = replace(found, unlike=unlike)
    if found.library_alone or not (layer := found.verdict.first_layer):
        return found
    names = found.source.tensors_of(layer)
    ordered = sorted(names, key=lambda name: name not in unlike)
    return replace(found, tensors={name: (names[name], name in unlike) for name in ordered})


def _with_roundings(found: Verification, unrounded: NetworkFile, runs: Sequence[Run]) -> Verification:
    """Measure each run against float64, and after a mismatch find the side that does not compute its own file."""
    source, converted = found.source, found.converted
    changes = [f"the values of {len(found.unlike):,} of {len(source.coverage.moves):,} tensors"] if found.unlike else []
    facts = differing_facts(source.facts, converted.facts)
    changes += [f"{name} {getattr(source.facts, name)} and {getattr(converted.facts, name)}" for name in facts]
    # A run records the facts of its network: after an inexact conversion the library's network has other facts.
    built = [complete(run.record["settings"]["facts"]) for run in runs]
    of_source = in_double(source, runs[0], built[0])
    alike = not found.unlike
    weights = [of_source]
    for run, own in zip(runs[1:], built[1:], strict=True):
        weights.append(of_source if alike and own == built[0] else in_double(converted, run, own))
    roundings = tuple(measure_rounding(run, expected) for run, expected in zip(runs, weights, strict=True))
    judgement = judge(roundings, changes) if found.verdict.word == DIFFERENT else ""
    if found.library_alone and inexactness(converted):
        judgement = inexactness(converted)
    cost = rounding_cost(in_double(unrounded, runs[0], built[0]), of_source) if source.rounded else None
    return replace(found, roundings=roundings, judgement=judgement, rounding_cost=cost)


def _explained(found: Verification, runs: Sequence[Run], progress: Callable[[str], None]) -> tuple[Trial, ...]:
    """Try the known causes on the canonical network, and compare it with the run that it should equal.

    If the canonical network differs from the source, that is the source's run. If only the library's network differs,
    it is the library's run: the change of the canonical network is then what the library does differently. A file that
    records an inexact conversion needs no search.
    """
    source, converted, sets = found.source, found.converted, {}
    if found.verdict.word != DIFFERENT or (found.library_alone and inexactness(converted)):
        return ()
    wanted = runs[-1] if found.library_alone else runs[0]
    if source.other and not found.library_alone:
        other = AVERAGES if source.coverage.taken == RAW else RAW
        sets = {source.coverage.taken: source.canonical_tensors(), other: source.canonical_tensors(other=True)}
    from effconvert.verification.explanation import explain  # imports torch, which a comparison does not need

    trials = explain(
        {name: wanted.layer(name) for name in wanted.layers},
        wanted.images,
        converted.canonical_tensors(),
        converted.identity.variant,
        converted.facts,
        sets=sets,
        tolerance=found.verdict.tolerance,
        progress=progress,
    )
    return trials if found.library_alone else tuple(_with_command(trial, found) for trial in trials)


def _with_command(trial: Trial, found: Verification) -> Trial:
    """Return the trial with the command that converts the source again, if the files or the options are different."""
    if not trial.effect or trial.options is None or not (trial.options or found.unlike):
        return trial
    return replace(trial, command=command_again(found.source, found.converted, trial.options))


def _check_new(paths: Sequence[Path]) -> None:
    for path in paths:
        if os.path.lexists(path):
            raise OutputProblem(f"{path}: exists; choose another folder with {option('keep')}")


@contextmanager
def _folder(keep: str | Path | None) -> Iterator[Path]:
    if keep is None:
        with temporary_folder() as folder:
            yield folder
    else:
        with reported(Path(keep)):
            Path(keep).mkdir(exist_ok=True)
        yield Path(keep)

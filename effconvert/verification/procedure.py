"""Says whether a converted file is the same network as its source, which the real framework runs on the same images."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from effconvert.atomic import reported
from effconvert.errors import LayoutMismatch, OutputProblem
from effconvert.options import Options
from effconvert.verification.explanation import Trial, explain
from effconvert.verification.inputs import Images, Inputs
from effconvert.verification.launching import CANONICAL, interpreter
from effconvert.verification.network_files import NetworkFile, examine, run_file
from effconvert.verification.rounding import Rounding, in_double, judge, rounding
from effconvert.verification.runs import Run, open_run
from effconvert.verification.verdict import DIFFERENT, SAME, Verdict, lacks_background, reach_verdict
from effconvert.weight_sets import AVERAGES, RAW


@dataclass(frozen=True)
class Verification:
    """What was found.

    reference: {framework, network, loader} of the source's run. roundings: of the reference and of each run of the
    converted file, the canonical network's first; empty where they were not measured. judgement: which side is wrong.
    tensors: {canonical name: (name in the source, whether the files' values differ)} of the first layer that differs.
    trials: the causes that were tried.
    """

    verdict: Verdict
    source: NetworkFile
    converted: NetworkFile
    inputs: Inputs
    reference: Mapping[str, str]
    roundings: tuple[Rounding, ...] = ()
    judgement: str = ""
    tensors: Mapping[str, tuple[str, bool]] = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    cautions: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether the two files are the same network."""
        return self.verdict.word == SAME


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
) -> Verification:
    """Return whether the file `converted` is the same network as `source`.

    The source's own framework runs `source`; the canonical network, and where `converted` is in a library's layout
    that library too, runs `converted`, each in a process of its own. framework: of the source, `auto` by its layout.
    images: two synthetic ones by default. reading: how `source` is read, as `convert` does it; facts for what the file
    leaves open. key: of an encrypted source. pythons: {framework: interpreter}. tolerance: instead of the dtype's.
    in_float64: measure each side's rounding. causes: on a mismatch, try the known ones. keep: a folder for the runs.

    Raises MissingPath, UnreadableCheckpoint, LayoutMismatch, Unavailable for a framework that is missing,
    NumericMismatch where nothing can be compared, OutputProblem for `keep`.

    Example: `effconvert.verify("b0.safetensors", "efficientnet-b0/").same`
    """
    original, result = examine(source, reading or Options(), key), examine(converted)
    _check_variants(original, result)
    names = [framework if framework != "auto" else original.framework, CANONICAL]
    names += [result.framework] if result.framework != CANONICAL else []
    programs = {name: interpreter(name, pythons) for name in names}
    inputs = (images or Images()).prepared(original.recipe, original.identity.variant.name)
    with _folder(keep) as folder, ExitStack() as stack:
        paths = [folder / "source.npz", *(folder / f"converted-{name}.npz" for name in names[1:])]
        _check_new(paths)
        run_file(original, names[0], programs[names[0]], inputs, paths[0])
        for name, path in zip(names[1:], paths[1:], strict=True):
            run_file(result, name, programs[name], inputs, path, follow=paths[0])
        reference, *runs = [stack.enter_context(open_run(path)) for path in paths]
        found = Verification(
            reach_verdict(reference, runs, tolerance),
            original,
            result,
            inputs,
            {"framework": reference.words, **{name: reference.record[name] for name in ("network", "loader")}},
            cautions=tuple(_cautions(original, result, reference, inputs)),
        )
        found = _with_first_layer(found)
        found = _with_roundings(found, reference, runs) if in_float64 else found
        return replace(found, trials=_explained(found, reference, runs)) if causes else found


def _check_variants(source: NetworkFile, converted: NetworkFile) -> None:
    if source.identity.variant != converted.identity.variant:
        raise LayoutMismatch(
            f"{converted.path}: is {converted.identity.variant.name}, "
            f"and {source.path} is {source.identity.variant.name}: another network"
        )


def _with_first_layer(found: Verification) -> Verification:
    """Name the tensors of the first layer that differs, and say which have other values in the two files."""
    if not found.verdict.first:
        return found
    names = found.source.tensors_of(found.verdict.first.layer)
    ours, theirs = (file.canonical_tensors(only=names) for file in (found.source, found.converted))
    tensors = {
        name: (names[name], name not in theirs or not np.array_equal(ours[name], theirs[name], equal_nan=True))
        for name in names
    }
    return replace(found, tensors=tensors)


def _with_roundings(found: Verification, reference: Run, runs: Sequence[Run]) -> Verification:
    """Measure each run against float64, and where they differ say which side is not what its own file says."""
    verdict, converted = found.verdict, in_double(found.converted, reference)
    # Files that are one network to float32's last digits need float64's seconds only once.
    alike = verdict.word == SAME and not (verdict.relaxed or verdict.rounded)
    alike = alike and found.source.facts == found.converted.facts
    original = converted if alike else in_double(found.source, reference)
    roundings = (rounding(reference, original), *(rounding(run, converted) for run in runs))
    return replace(found, roundings=roundings, judgement=judge(roundings) if verdict.word == DIFFERENT else "")


def _explained(found: Verification, reference: Run, runs: Sequence[Run]) -> tuple[Trial, ...]:
    """Try the known causes on the canonical network, until it gives what the run gives that it should equal.

    Where it differs from the source, that is the source's run. Where only the library's network does, it is the
    library's: what must be changed in the canonical network to get there is what that library does otherwise.
    """
    if found.verdict.word != DIFFERENT:
        return ()
    differing = next(number for number, pair in enumerate(found.verdict.pairs) if not pair.comparison.same)
    wanted = runs[differing] if differing else reference
    source, converted, sets = found.source, found.converted, {}
    if source.other and not differing:
        other = AVERAGES if source.coverage.taken == RAW else RAW
        sets = {source.coverage.taken: source.canonical_tensors(), other: source.canonical_tensors(other=True)}
    return explain(
        {name: wanted.layer(name) for name in wanted.layers},
        wanted.images,
        converted.canonical_tensors(),
        converted.identity.variant,
        converted.facts,
        sets=sets,
        tolerance=found.verdict.tolerance,
    )


def _cautions(source: NetworkFile, converted: NetworkFile, reference: Run, inputs: Inputs) -> Iterator[str]:
    if lacks_background(source.facts.to_dict(), converted.facts.to_dict()):
        yield "the source's class 0, the background, is not among the converted file's classes and is not compared"
    description = converted.identity.description
    if description and not set(source.sha256.values()) & set(_texts(description.source)):
        yield f"{converted.path} says that it was converted from another file than {source.path}"
    if description and description.taken == RAW and source.other and source.coverage.taken != RAW:
        yield "the converted file holds the raw weights, and the source's averages were run; --raw runs its raw weights"
    if source.identity.assumed:
        yield f"{source.path}: {source.identity.assumption}"
    for file in (source, converted):
        if file.identity.layout_name == "huggingface" and inputs.images.shape[-1] != file.identity.variant.resolution:
            native = file.identity.variant.resolution
            yield f"{file.path}: its paddings are for images of {native} pixels; at another size it computes otherwise"


def _texts(value: object) -> Iterator[str]:
    """Yield every text in nested lists and dicts."""
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(each)


def _check_new(paths: Sequence[Path]) -> None:
    for path in paths:
        if os.path.lexists(path):
            raise OutputProblem(f"{path}: exists; name another folder with --keep")


@contextmanager
def _folder(keep: str | Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="effconvert-") as folder:
            yield Path(folder)
    else:
        with reported(Path(keep)):
            Path(keep).mkdir(exist_ok=True)
        yield Path(keep)

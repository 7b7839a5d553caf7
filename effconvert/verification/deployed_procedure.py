"""Procedure of the verification of a deployed file: its runtime runs it, and the weights that it was made of run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.architecture.canonical import CANONICAL
from effconvert.architecture.variants import blocks
from effconvert.deployed.files import DeployedFile, inspect_deployed
from effconvert.deployed.layers import before_softmax
from effconvert.errors import LayoutMismatch
from effconvert.hashing import file_sha256
from effconvert.maps.map_names import ONNX, TFLITE
from effconvert.option_words import option
from effconvert.options import Options
from effconvert.shown import Row, Shown
from effconvert.temporary import temporary_folder
from effconvert.verification.availability import check_installed
from effconvert.verification.comparison import TOLERANCES, Tolerance, plain, relative_difference
from effconvert.verification.deployed_answers import SAME_ANSWERS, Answers, compare_answers
from effconvert.verification.deployed_inputs import (
    InputWay,
    attempts,
    disagreement,
    images_for,
    settings_of_input,
    way_of,
)
from effconvert.verification.execution import run_file
from effconvert.verification.inputs import Images, Inputs
from effconvert.verification.launching import interpreter, run_network
from effconvert.verification.network_files import NetworkFile, examine
from effconvert.verification.runs import Run, open_run
from effconvert.verification.sides import Progress, Steps
from effconvert.verification.trials import Trial
from effconvert.verification.verdict import DIFFERENT, NOT_VERIFIABLE, RELAXED, SAME, Verdict, reach_verdict

SCHEMA = "effconvert/deployed-verification/1"
_BACKGROUND = (1001, 1000)
_OF_INPUT = 1e-2  # a wrong input changes the stem by more, another epsilon by less


@dataclass(frozen=True, repr=False)
class DeployedVerification(Shown):
    """The result of the verification of a deployed file.

    verdict: of the comparison of every layer; answers: of a quantised file, which is judged by them alone, else None.
    reference: {framework, network, loader} of the run of the weights. runtime: of the file's. way: how images were
    given to the file. trials: the tried causes.
    """

    file: DeployedFile
    source: NetworkFile
    verdict: Verdict
    answers: Answers | None
    inputs: Inputs
    way: InputWay
    reference: Mapping[str, str]
    runtime: str
    trials: tuple[Trial, ...] = ()
    cautions: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether the file is the network of the weights; of a quantised file, whether every answer is the same."""
        return self.word in (SAME, RELAXED, SAME_ANSWERS)

    @property
    def word(self) -> str:
        """The verdict in one or two words; images that cannot tell networks apart prove nothing of answers either."""
        if self.answers is None or self.verdict.word == NOT_VERIFIABLE:
            return self.verdict.word
        return self.answers.word

    @property
    def line(self) -> str:
        """The verdict in one line, with the files."""
        return f"{self.file.path} and {self.source.path}: {self.word}"

    def to_rows(self) -> list[Row]:
        """Return a row for each layer that was compared, in each mode."""
        return [
            {
                "layer": row.layer,
                "mode": row.mode,
                "relative": row.relative,
                "allowed": row.allowed,
                "passed": row.passed,
            }
            for pair in self.verdict.pairs
            for row in pair.comparison.rows
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the verification as plain values, for JSON."""
        return {
            "schema": SCHEMA,
            **self.verdict.to_dict(),
            "verdict": self.word,
            "file": self.file.to_dict(),
            "source": self.source.to_dict() | dict(self.reference),
            "runtime": self.runtime,
            "given": self.way.to_dict(),
            "inputs": {**self.inputs.words, "sha256": self.inputs.sha256},
            "answers": None if self.answers is None else plain(dict(vars(self.answers))),
            "causes": [plain(vars(trial)) for trial in self.trials],
            "cautions": list(self.cautions),
        }


def verify_deployed(
    deployed: str | Path,
    source: str | Path,
    *,
    framework: str = CANONICAL,
    images: Images | None = None,
    reading: Options | None = None,
    key: bytes | None = None,
    pythons: Mapping[str, str] = MappingProxyType({}),
    tolerance: float | None = None,
    causes: bool = False,
    input_range: str | None = None,
    input_bgr: bool = False,
    progress: Progress | None = None,
) -> DeployedVerification:
    """Verify that a deployed file, ONNX or TensorFlow Lite, is the network of the weights in `source`.

    onnxruntime or LiteRT runs the file. framework: runs `source`; effconvert's own network by default, `auto` for the
    library of its layout. images: two synthetic ones by default; a file that takes bytes needs photographs.
    input_range, input_bgr: how the file takes images, if its graph does not tell. causes: after a mismatch, try known
    causes. The other arguments are those of `verify`. A quantised file is judged by its answers.

    Raises the errors of `examine` and `inspect_deployed`, LayoutMismatch for files of other networks, Unavailable for a
    missing runtime.

    Example: `verify_deployed("b0.onnx", "b0.safetensors").same`
    """
    original = examine(source, reading or Options(), key)
    file = _with_layers_of(inspect_deployed(deployed), len(blocks(original.identity.variant)))
    _check_alike(file, original)
    name = original.framework if framework == "auto" else framework
    steps = Steps(progress or (lambda words: None))
    inputs = _inputs(file, original, images or Images())
    way = way_of(file, input_range, input_bgr)
    programs = {each: interpreter(each, pythons) for each in (name, file.framework)}
    check_installed(programs, pythons)
    with temporary_folder() as folder, ExitStack() as stack:
        paths = [folder / "source.npz", folder / "deployed.npz"]
        steps.begin(f"running {'the canonical network' if name == CANONICAL else name} on {original.path.name}")
        run_file(original, name, programs[name], inputs, paths[0])
        steps.begin(f"running {file.path.name}")
        _run_deployed(file, original, way, inputs, programs[file.framework], paths[1], follow=paths[0])
        reference, found = (stack.enter_context(open_run(path)) for path in paths)
        steps.begin("comparing layers")
        verdict = _of_what_was_found(reach_verdict(reference, [found], tolerance), file)
        trials: tuple[Trial, ...] = ()
        if causes and verdict.word == DIFFERENT and not file.is_quantised:
            tried = _Trying(file, original, inputs, programs[file.framework], folder, reference, verdict)
            trials = _causes(tried, way, found, steps.begin)
        steps.end()
        return DeployedVerification(
            file=file,
            source=original,
            verdict=verdict,
            answers=compare_answers(reference, found, inputs) if file.is_quantised else None,
            inputs=inputs,
            way=way,
            reference={"framework": reference.words, **{key: reference.record[key] for key in ("network", "loader")}},
            runtime=found.words,
            trials=trials,
            cautions=tuple(_cautions(file, original, found)),
        )


def _with_layers_of(file: DeployedFile, count: int) -> DeployedFile:
    """Return `file` without its layers if it does not have `count` blocks, as where CondConv is written as a sum."""
    found = sum(name.startswith("blocks.") for name in file.layers.outputs)
    if found == count:
        return file
    kept = {"logits": before_softmax(file.graph)[0]} if file.needs.ends == "softmax" else {}
    return replace(file, layers=replace(file.layers, outputs=kept))


def _check_alike(file: DeployedFile, source: NetworkFile) -> None:
    """Raise LayoutMismatch if the file is of another variant, or of another number of channels or classes."""
    variant, facts = source.identity.variant, source.facts
    problems = []
    if file.variants and variant.name not in file.variants:
        problems.append(f"its convolutions are those of {' or '.join(file.variants)}, not of {variant.name}")
    if file.needs.channels not in (None, facts.in_channels):
        problems.append(f"it takes images with {file.needs.channels} channels, not {facts.in_channels}")
    classes = file.needs.classes
    if classes is not None and facts.classes and classes != facts.classes and (facts.classes, classes) != _BACKGROUND:
        problems.append(f"it has {classes:,} classes, not {facts.classes:,}")
    if problems:
        raise LayoutMismatch(f"{file.path}: is not the network of {source.path}: {'; '.join(problems)}")


def _inputs(file: DeployedFile, source: NetworkFile, images: Images) -> Inputs:
    """Return the images, of the size that the file takes. Raises LayoutMismatch for what it cannot take."""
    needs = file.needs
    if needs.height != needs.width:
        raise LayoutMismatch(
            f"{file.path}: takes images of {needs.height} x {needs.width} pixels; only squares are run"
        )
    if images.size and needs.height and images.size != needs.height:
        raise LayoutMismatch(f"{file.path}: takes images of {needs.height} pixels only; leave {option('size')} away")
    if images.folder is None and np.dtype(needs.dtype).kind != "f":
        raise LayoutMismatch(
            f"{file.path}: its input is {needs.dtype}, which cannot hold synthetic images; give photographs with "
            f"{option('images', 'FOLDER')}"
        )
    sized = images if images.size or needs.height is None else Images(**{**vars(images), "size": needs.height})
    return sized.prepared(source.recipe, source.identity.variant.name)


def _run_deployed(
    file: DeployedFile,
    source: NetworkFile,
    way: InputWay,
    inputs: Inputs,
    python: str,
    out: Path,
    follow: Path | None = None,
    only_logits: bool = False,
) -> None:
    classes = file.needs.classes if file.needs.classes is not None else source.facts.classes
    facts = source.facts.to_dict() | {"classes": classes}
    deployed = settings_of_input(way, file)
    if only_logits:
        deployed["layers"] = [pair for pair in deployed["layers"] if pair[0] == "logits" and deployed["softmax"]]
    follow = follow if file.framework == ONNX else None
    settings = {
        "schema": "effconvert/settings/1",
        "variant": source.identity.variant.name,
        **facts,
        "facts": facts,
        "assumed": [],
        "size": int(inputs.images.shape[-1]),
        "dtype": file.weights if file.weights in ("float16", "bfloat16") else "float32",
        "rounded": {},
        "sha256": file.sha256,
        "inputs": dict(inputs.words),
        "inputs_sha256": inputs.sha256,
        "follows": file_sha256(follow) if follow else None,
        "tensors": {},
        "deployed": deployed,
    }
    arrays = {
        "images": images_for(way, inputs.images, source.recipe),
        "mean": np.array(source.recipe.mean),
        "std": np.array(source.recipe.std),
    }
    run_network(file.framework, python, file.path.absolute(), settings, arrays, out, follow)


@dataclass(frozen=True)
class _Trying:
    """The other ways to give images to a file, each run and compared with the reference's outputs."""

    file: DeployedFile
    source: NetworkFile
    inputs: Inputs
    python: str
    folder: Path
    reference: Run = field(repr=False)
    verdict: Verdict = field(repr=False)

    def trials(self, way: InputWay, begin: Callable[[str], None]) -> Iterator[Trial]:
        """Yield the trial that explains the difference, if one does."""
        expected = self.reference.outputs
        before = max(row.relative for pair in self.verdict.pairs for row in pair.comparison.rows)
        if np.dtype(self.file.needs.dtype).kind != "f":
            return
        for number, attempt in enumerate(attempts(way, self.source.recipe, self.file)):
            begin(f"trying a known cause: {attempt.words}")
            out = self.folder / f"attempt-{number}.npz"
            _run_deployed(self.file, self.source, attempt.way, self.inputs, self.python, out, only_logits=True)
            with open_run(out) as run:
                left = relative_difference(_comparable(run.outputs, expected), expected)
            if left <= self.verdict.tolerance.end_to_end:
                yield Trial("input", attempt.words, before, left, True, True, "", attempt.change)
                return


def _causes(tried: _Trying, way: InputWay, found: Run, begin: Callable[[str], None]) -> tuple[Trial, ...]:
    """Return the trials of the known causes, those first that are likely: a fact changes the stem by little."""
    stem = next((row for row in tried.verdict.pairs[0].comparison.rows if row.layer == "stem"), None)
    if stem is not None and stem.relative < _OF_INPUT:
        trials = _explained(tried.source, found, tried.verdict, begin)
        if any(trial.vanishes for trial in trials):
            return trials
        return (*tried.trials(way, begin), *trials)
    return tuple(tried.trials(way, begin)) or _explained(tried.source, found, tried.verdict, begin)


def _comparable(found: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits with a background class in front, if only the other ones have it."""
    missing = expected.shape[1] - found.shape[1]
    return np.concatenate([expected[:, :missing], found], axis=1) if missing == 1 else found


def _explained(source: NetworkFile, found: Run, verdict: Verdict, begin: Callable[[str], None]) -> tuple[Trial, ...]:
    """Try the known causes on the canonical network of the weights: the one that makes it the file's is the fault."""
    from effconvert.verification.explanation import explain  # imports torch

    # The logits are those of the optimised file and its layers are not, so they are as far apart as end to end.
    allowed = verdict.tolerance.end_to_end
    trials = explain(
        {name: found.layer(name) for name in found.layers},
        found.images,
        source.canonical_tensors(),
        source.identity.variant,
        source.facts,
        tolerance=Tolerance(allowed, allowed),
        progress=begin,
    )
    return tuple(_of_export(trial, source) for trial in trials)


def _of_export(trial: Trial, source: NetworkFile) -> Trial:
    """Return the trial of a fact with what to do about the file, which was exported with another one."""
    facts = (trial.options or {}).get("facts")
    if not facts:
        return replace(trial, options=None)
    [(name, value)] = facts.items()
    present = getattr(source.facts, name)
    change = (
        f"the file has {name} {value}, the weights want {present}: export it again from a network with {present}; "
        f"if {value} is right, say so with {option('facts', facts)}"
    )
    return replace(trial, change=change, options=None)


def _of_what_was_found(verdict: Verdict, file: DeployedFile) -> Verdict:
    """Return the verdict without what the file's graph does not show: where no layer was found, logits decide."""
    verdict = replace(verdict, assumed=())  # the facts of the file are in its graph: it tells whether they are right
    if "stem" in file.layers.outputs or verdict.word == NOT_VERIFIABLE:
        return verdict
    pair = verdict.pairs[0]
    pair = replace(pair, comparison=replace(pair.comparison, only={}))
    same = RELAXED if verdict.tolerance.isolated > TOLERANCES[verdict.rounded or "float32"].isolated else SAME
    return replace(verdict, pairs=(pair,), word=same if pair.comparison.same else DIFFERENT)


def _cautions(file: DeployedFile, source: NetworkFile, found: Run) -> Iterator[str]:
    """Yield the warnings on a deployed file and its comparison."""
    if not file.layers.outputs or "blocks.0" not in found.layers:
        yield f"{file.path}: its layers were not found in its graph, so only its answers were compared"
    elif not file.variants and not source.identity.variant.experts:
        yield f"{file.path}: its convolutions are not exactly those of {source.identity.variant.name}"
    if file.padding.fixed and file.needs.height is None:
        yield (
            f"{file.path}: takes images of any size, but its padding is that of one size; at others it answers wrongly"
        )
    if words := disagreement(file, source.recipe):
        yield f"{file.path}: {words}"
    if file.needs.before:
        yield f"{file.path}: does {', '.join(file.needs.before)} before its first convolution, which is not understood"
    if (source.facts.classes, file.needs.classes) == _BACKGROUND:
        yield "the file does not have the source's class 0, the background class; it is not compared"
    if file.framework == TFLITE:
        yield "layers were compared end to end only: a TensorFlow Lite file cannot be cut"
    yield from (f"{source.path}: {words}" for words in source.identity.doubts)

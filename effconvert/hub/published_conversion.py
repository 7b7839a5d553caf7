"""Conversion of published weights: chosen by name, fetched, converted."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from effconvert.architecture.canonical import CANONICAL
from effconvert.atomic import check_output
from effconvert.conversion.outputs import check_container
from effconvert.conversion.steps import Report, convert
from effconvert.conversion.targets import library_of
from effconvert.conversion.transfer import Progress
from effconvert.errors import LayoutMismatch
from effconvert.graphs.graph_options import ONNX
from effconvert.hub.cache import fetch
from effconvert.hub.published_names import Asked, read_name
from effconvert.maps.layouts import layout_called
from effconvert.reference_tables.published_weights import choose
from effconvert.reference_tables.weights import Published


def convert_published(
    name: str,
    out: str | Path | None = None,
    *,
    to: str = CANONICAL,
    framework: str | None = None,
    weights: str | None = None,
    facts: Mapping[str, Any] | None = None,
    force: bool = False,
    downloading: Callable[[int, int | None], None] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Convert weights that a framework published, and return a report.

    name: `torchvision/b0` or `torchvision/b0/imagenet1k_v1`, as `effconvert list` shows them; or a variant only, with
    its `framework`, one of `reference_tables.FRAMEWORKS`. weights: the training, if the name does not tell it; by
    default that of `reference_tables.published_weights.choose`. out: by default a file (a folder for `tf-official`
    and `huggingface`) named after the request: `b0-ns.safetensors`; if `name` has a framework other than TensorFlow,
    with it: `torchvision-b0.safetensors`. facts: replace known facts of the published network. downloading: called
    with (received bytes, total bytes or None). Other options: those of `effconvert.convert`.

    Raises LayoutMismatch, with a list of the existing weights, if the framework did not publish these; Unavailable
    without internet and cache, or if the package with the file is not installed; and the errors of
    `effconvert.convert`.

    Example: `effconvert.convert_published("torchvision/b0", "b0.pth", to="timm")`
    """
    to = layout_called(to)
    asked = Asked(framework, name, weights) if framework else _read_name(name, weights)
    row = choose(asked.variant, asked.weights, asked.framework)
    output = Path(out or output_name(asked, row, to, whole_name=framework is None))
    check_container(output, to)  # both before the download
    check_output(output, force)
    fetched = fetch(row, progress=downloading)
    return convert(
        fetched.path,
        output,
        to=to,
        variant=row.variant,
        weights=row.weights,
        facts={**row.facts, **(facts or {})} or None,
        force=force,
        url=fetched.url,
        expected_sha256=fetched.sha256,
        progress=progress,
        **options,
    )


def _read_name(name: str, weights: str | None) -> Asked:
    asked = read_name(name)
    if asked.weights and weights:
        raise LayoutMismatch(f"{name}: has weights in its name; leave out weights {weights!r}")
    return replace(asked, weights=asked.weights or weights)


def output_name(asked: Asked, row: Published, to: str, whole_name: bool) -> str:
    """Return a name that tells the content of the file, so that different conversions have different names."""
    weights = asked.weights and (row.weights if whole_name else asked.weights.lower())
    origin = asked.framework if whole_name and asked.framework != "tensorflow" else None
    stem = "-".join(
        part for part in (origin, row.variant, weights, to if to not in (CANONICAL, ONNX) else None) if part
    )
    library = library_of(to)
    return stem if library.folder else stem + (library.containers or (".safetensors",))[0]

"""Converts a published checkpoint: chosen, fetched into the cache, converted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from effconvert.atomic import check_output
from effconvert.conversion import Report, convert
from effconvert.hub import choose, fetch
from effconvert.transfer import Progress


def convert_published(
    variant: str,
    output: str | Path | None = None,
    *,
    weights: str | None = None,
    force: bool = False,
    downloading: Callable[[int, int | None], None] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Convert the published TensorFlow checkpoint of `variant` and return a report.

    output: by default `b0.safetensors`, or `b0-ns.safetensors` when `weights` are named. downloading: called with
    (bytes arrived, bytes in all or None). Other options: those of `effconvert.convert`.

    Raises Unavailable without network or cache, and what `effconvert.convert` raises.
    """
    row = choose(variant, weights)
    name = f"{row.variant}-{row.weights}" if weights else row.variant
    output = Path(output or f"{name}.safetensors")
    check_output(output, force)  # before a download that could be in vain
    fetched = fetch(row, progress=downloading)
    return convert(
        fetched.folder,
        output,
        variant=row.variant,
        weights=row.weights,
        force=force,
        url=fetched.url,
        expected_sha256=fetched.sha256,
        progress=progress,
        **options,
    )

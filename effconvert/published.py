"""Converts a published checkpoint: chosen, fetched into the cache, converted."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from effconvert.atomic import check_output
from effconvert.cache import fetch
from effconvert.conversion import Report, convert
from effconvert.hub import choose
from effconvert.transfer import Progress


def convert_published(
    variant: str,
    output: str | Path | None = None,
    *,
    framework: str = "tensorflow",
    weights: str | None = None,
    facts: Mapping[str, Any] | None = None,
    force: bool = False,
    downloading: Callable[[int, int | None], None] | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Report:
    """Convert the checkpoint of `variant` that a framework published and return a report.

    output: by default `b0.safetensors`, or `b0-ns.safetensors` when `weights` are named. framework: one of
    `reference_tables.FRAMEWORKS`. facts: replace what is known of the published network. downloading: called with
    (bytes arrived, bytes in all or None). Other options: those of `effconvert.convert`.

    Raises LayoutMismatch that lists what exists where the framework published no such weights, Unavailable without
    network or cache, and what `effconvert.convert` raises.
    """
    row = choose(variant, weights, framework)
    name = f"{row.variant}-{weights.lower()}" if weights else row.variant
    output = Path(output or f"{name}.safetensors")
    check_output(output, force)  # before a download that could be in vain
    fetched = fetch(row, progress=downloading)
    return convert(
        fetched.path,
        output,
        variant=row.variant,
        weights=row.weights,
        facts={**row.facts, **(facts or {})} or None,
        force=force,
        url=fetched.url,
        expected_sha256=fetched.sha256,
        progress=progress,
        **options,
    )

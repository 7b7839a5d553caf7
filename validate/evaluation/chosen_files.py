"""Which files are measured: those named, a published one that is converted first, or all that lie in a folder."""

from collections.abc import Sequence
from pathlib import Path

from effconvert.architecture.canonical import CANONICAL
from effconvert.conversion.outputs import SUFFIXES
from effconvert.errors import EffconvertError, LayoutMismatch, MissingPath
from effconvert.formats import open_checkpoint
from effconvert.hub.addresses import address
from effconvert.hub.published_conversion import output_name
from effconvert.hub.published_names import Asked
from effconvert.reference_tables.published_weights import choose


def files_to_measure(
    files: Sequence[Path],
    *,
    variant: str | None = None,
    framework: str = "tensorflow",
    weights: str | None = None,
    first: bool = True,
) -> list[Path]:
    """Return the files to measure: `files`, and what a framework published of `variant`; without either, all here.

    What was published is converted into this folder, unless it lies there. Of several processes only the `first` one
    converts. Raises LayoutMismatch where no such weights were published, MissingPath when there is nothing to measure,
    and what the conversion raises.
    """
    chosen = list(files)
    if variant:
        chosen.append(_converted(variant, framework, weights, first))
    if not chosen:
        chosen = _made_here(Path())
    if not chosen:
        raise MissingPath("no file is named, and none in this folder was made by effconvert; give FILE or --variant")
    return chosen


def _converted(variant: str, framework: str, weights: str | None, first: bool) -> Path:
    row = choose(variant, weights, framework)
    path = Path(output_name(Asked(framework, variant, weights), row, CANONICAL, whole_name=False))
    if path.exists():
        _check_made_of(path, row.url, address(row))
    elif first:
        from effconvert.hub.published_conversion import convert_published

        convert_published(variant, path, framework=framework, weights=weights)
    return path


def _check_made_of(path: Path, url: str, mirrored: str) -> None:
    with open_checkpoint(path) as checkpoint:
        source = checkpoint.metadata.get("source", "")
    if url not in source and mirrored not in source:
        raise LayoutMismatch(
            f"{path}: is there, but was not made of {url}; name it as a FILE to measure it, or move it away"
        )


def _made_here(folder: Path) -> list[Path]:
    """Return the files in `folder` that effconvert wrote, sorted; what cannot be read as one is none."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name.endswith(SUFFIXES) and path.is_file():
            try:
                with open_checkpoint(path) as checkpoint:
                    made = "effconvert" in checkpoint.metadata
            except EffconvertError:
                continue
            if made:
                found.append(path)
    return found

"""Files to measure: those that are named, a published one that is converted first, or all in the current folder."""

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
    """Return the files to measure: `files` and the published weights of `variant`; without both, all files here.

    Published weights are converted into the current folder, unless the file exists. Of several processes only the
    `first` converts. Raises LayoutMismatch where no such weights were published, MissingPath when there is nothing to
    measure, and the errors of the conversion.
    """
    chosen = list(files)
    if variant:
        chosen.append(_converted(variant, framework, weights, first))
    if not chosen:
        chosen = _made_here(Path())
    if not chosen:
        raise MissingPath("no FILE was given, and effconvert wrote no file in this folder; give FILE or --variant")
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
            f"{path}: exists, but was not converted from {url}; to measure it, give it as FILE; otherwise move it away"
        )


def _made_here(folder: Path) -> list[Path]:
    """Return the files in `folder` that effconvert wrote, sorted; unreadable files are left out."""
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

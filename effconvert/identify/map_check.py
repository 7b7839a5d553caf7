"""The check of a map, and of a file that it should read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from effconvert.formats import open_checkpoint
from effconvert.identify.coverage import Coverage, read_network
from effconvert.identify.identification import Identity
from effconvert.identify.preprocessing import recipe_of
from effconvert.identify.reasons import several
from effconvert.maps.language import Layout
from effconvert.maps.layouts import add_maps, known_layouts, read_layout
from effconvert.option_words import option
from effconvert.options import Options
from effconvert.preprocessing.recipes import UNKNOWN


@dataclass(frozen=True)
class MapCheck:
    """A valid map. remarks: sentences on the map, and on the file that was read with it."""

    layout: Layout
    remarks: tuple[str, ...]


def check_map(path: Path, checkpoint: Path | None = None, key: bytes | None = None) -> MapCheck:
    """Check the map at `path`, and read `checkpoint` with it; key: decrypts the checkpoint.

    Raises MissingPath, BadMap with every problem of the map; for the checkpoint, UnreadableCheckpoint, or
    LayoutMismatch with every tensor that is missing or unknown.
    """
    layout = read_layout(path)
    remarks = list(_remarks(layout))
    if checkpoint:
        if layout.sha256 not in {known.sha256 for known in known_layouts()}:
            add_maps(path)
        with open_checkpoint(checkpoint, key) as opened:
            identity, coverage = read_network(opened, Options(layout=layout.name))
            remarks += _reading(checkpoint, identity, coverage)
    return MapCheck(layout, tuple(remarks))


def _remarks(layout: Layout) -> Iterator[str]:
    """Yield what the map leaves open."""
    if not layout.facts.keys() >= {"bn_eps", "padding"}:
        yield "facts: bn_eps and padding are not both given, and no tensor tells them: TensorFlow's are assumed"
    if layout.write and not layout.builds:
        yield "builds: none: files are written only for the facts above, and the code that loads them is not shown"


def _reading(path: Path, identity: Identity, coverage: Coverage) -> Iterator[str]:
    yield f"{path}: {identity.variant.name}, {len(coverage.moves):,} tensors have their place"
    for reason, count in coverage.counts()["left_behind"].items():
        yield f"left behind: {several(count, reason)}"
    yield f"facts: {identity.facts.in_words()}"
    if recipe_of(identity).name == UNKNOWN:
        yield f"its preprocessing is not known: give {option('recipe')} to validate and predict"

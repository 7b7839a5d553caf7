"""Origin of a network's weights and their conversions, as its file records them."""

from collections.abc import Mapping
from typing import Any

from effconvert.report.contents.network import Conversion

_Origin = Mapping[str, Any] | None


def conversion(origin: _Origin) -> Conversion | None:
    """Return the conversion of a file, None without a record of one.

    After several conversions in a row, it has the first one's source, and the tensors that any of them left behind.
    Their number is known only if each conversion has recorded it.
    """
    if origin is None:
        return None
    sources, coverages = _chain(origin.get("source")), _chain(origin.get("coverage"))
    source = dict(sources[-1]) if sources else {}
    known = bool(sources) and len(coverages) == len(sources)
    return Conversion(
        source_sha256={name: sha256 for name, sha256 in source.items() if name != "url"},
        url=source.get("url"),
        layout=origin["layout"],
        taken=origin["taken"],
        map_sha256=origin.get("map_sha256") or None,
        options=dict(origin["options"]),
        moved=coverages[0]["moved"] if known else None,
        left_behind=_sums(coverages) if known else None,
    )


def history(origin: _Origin) -> list[Mapping[str, Any]]:
    """Return the options of every conversion of a file, the latest first."""
    return _chain(origin["options"]) if origin else []


def _chain(said: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return a file's records of its last conversion and of the earlier ones."""
    if said is None:
        return []
    latest = {name: value for name, value in said.items() if name != "earlier"}
    return [each for each in (latest, *said.get("earlier", ())) if each]


def _sums(coverages: list[Mapping[str, Any]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for coverage in coverages:
        for reason, count in coverage["left_behind"].items():
            totals[reason] = totals.get(reason, 0) + count
    return dict(sorted(totals.items()))

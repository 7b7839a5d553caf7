"""Published parameters and operations: one number per row, and in pairs for the comparison with our counts."""

from dataclasses import dataclass
from functools import cache

from effconvert.reference_tables.reading import Row, anything, is_count, is_name, one_of, optional, read_rows
from effconvert.reference_tables.sources import read_sources

PARAMETERS, OPERATIONS = "parameters", "operations"
TRAINABLE, WITH_STATISTICS, KERAS = "trainable", "with-statistics", "keras"


@dataclass(frozen=True)
class Cost:
    """A published cost of a variant at `size` pixels.

    kind: the source: `graph` (counted in the official graph), `readme` and `readme-text` (tensorflow/tpu), `paper`,
    `mmpretrain`, `torchvision`, `timm-documents` (its model index), `timm` (its results). counted_size: the size to
    which the operations belong; it differs from `size` where the table is wrong. classes: of the counted network.
    parameters: trainable values; parameters and operations are None where not published. convention: how operations are
    counted, one of `effconvert.costs.conventions`, "" without operations. The steps are the units to which the numbers
    were rounded. decides: whether a count can be judged by it: `yes`, `no`, or `parameters` or `operations` where only
    these are explained; the note says what is not. fused_stride: the convolution of fused blocks that had the stride in
    the counted network, None without such blocks or where unknown.
    """

    variant: str
    kind: str
    size: int
    counted_size: int
    classes: int
    parameters: int | None
    parameters_step: int
    counted_parameters: str
    convention: str
    operations: int | None
    operations_step: int
    decides: str
    fused_stride: str | None
    note: str
    source: str

    def decides_on(self, quantity: str) -> bool:
        """Return whether its `parameters` or `operations` can judge a count."""
        return self.decides in ("yes", quantity)


@cache
def cost_rows() -> tuple[Row, ...]:
    """Return the rows of cost.csv. Raises ValueError with all wrong cells."""
    rules = {
        "source": one_of(*read_sources()),
        "model": is_name,
        "variant": is_name,
        "size": is_count,
        "counted_size": optional(is_count),
        "classes": is_count,
        "quantity": one_of(PARAMETERS, OPERATIONS),
        "value": is_count,
        "step": is_count,
        "convention": is_name,
        "decides": one_of("yes", "no"),
        "fused_stride": one_of("", "expand", "project"),
        "note": anything,
    }
    return tuple(read_rows("cost.csv", rules))


@cache
def cost_table() -> tuple[Cost, ...]:
    """Return every published or counted cost, the official graphs first."""
    pairs: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in cost_rows():
        pairs.setdefault((row["source"], row["variant"], row["size"]), {})[row["quantity"]] = row
    return tuple(_pair(pair.get(PARAMETERS), pair.get(OPERATIONS)) for pair in pairs.values())


def note_on(cost: Cost, quantity: str) -> str:
    """Return the note on its `parameters` or its `operations` alone."""
    return _notes().get((cost.kind, cost.variant, cost.size, quantity), "")


@cache
def _notes() -> dict[tuple[str, str, int, str], str]:
    return {(row["source"], row["variant"], int(row["size"]), row["quantity"]): row["note"] for row in cost_rows()}


def _pair(parameters: Row | None, operations: Row | None) -> Cost:
    rows = [row for row in (parameters, operations) if row]
    deciding = [row["quantity"] for row in rows if row["decides"] == "yes"]
    row = rows[0]
    return Cost(
        variant=row["variant"],
        kind=row["source"],
        size=int(row["size"]),
        counted_size=int((operations or {}).get("counted_size") or row["size"]),
        classes=int(row["classes"]),
        parameters=int(parameters["value"]) if parameters else None,
        parameters_step=int(parameters["step"]) if parameters else 0,
        counted_parameters=parameters["convention"] if parameters else "",
        convention=operations["convention"] if operations else "",
        operations=int(operations["value"]) if operations else None,
        operations_step=int(operations["step"]) if operations else 0,
        decides="yes" if len(deciding) == len(rows) else (deciding[0] if deciding else "no"),
        fused_stride=row["fused_stride"] or None,
        note="; ".join(dict.fromkeys(each["note"] for each in rows if each["note"])),
        source=f"{read_sources()[row['source']].title}: {row['model']}",
    )

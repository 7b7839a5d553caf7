"""Published numbers, one by one: accuracies, costs, and the facts of each file of weights."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from effconvert.reference_tables.accuracy import accuracy_rows
from effconvert.reference_tables.cost import cost_rows
from effconvert.reference_tables.file_names import name_sha8
from effconvert.reference_tables.publishers import read_publishers
from effconvert.reference_tables.reading import Row, recipe_tables
from effconvert.reference_tables.sources import read_sources
from effconvert.reference_tables.weights import Published, weights_table

_PIXELS, _BYTES = "pixels", "bytes"


@dataclass(frozen=True, kw_only=True)
class Number:
    """One published number.

    source, title, date: a publication of sources.toml. model: the network's name there. weights: the training, "" for
    all. quantity: `top1`, `top5`; `parameters`, `operations`; for a file `resolution`, `crop`, `shorter side`,
    `interpolation`, `mean`, `std`, `file bytes`, `sha256` (perhaps only its beginning), `md5`, `url`. dataset,
    precision: of accuracies, "" otherwise. unit: `%`, `pixels`, `bytes` or "". step: the unit of rounding, 0 for a
    string. size: height and width in pixels; counted_size: the size to which operations belong. convention: how a cost
    was counted. recipe: the preprocessing, a table of recipes.toml, "" where unknown. layout: the library. decides:
    whether a measurement can be judged by it; the note says why not.
    """

    source: str
    title: str
    date: str
    model: str
    variant: str
    weights: str = ""
    quantity: str
    dataset: str = ""
    precision: str = ""
    value: float | int | str
    unit: str = ""
    step: float
    size: int
    counted_size: int
    convention: str = ""
    recipe: str = ""
    layout: str = ""
    decides: bool
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Return the number as plain values, for JSON."""
        return dict(vars(self))


@cache
def read_numbers() -> tuple[Number, ...]:
    """Return every published number: accuracies, then costs, then facts of files.

    Raises ValueError with all wrong cells of a table.
    """
    accuracies = (_accuracy(row) for row in accuracy_rows())
    costs = (_cost(row) for row in cost_rows())
    files = (number for row in weights_table() for number in _of_file(row))
    return (*accuracies, *costs, *files)


def _number(source: str, **said: Any) -> Number:
    """Return a number of the publication `source`."""
    publication = read_sources()[source]
    return Number(source=source, title=publication.title, date=publication.date, **said)


def _accuracy(row: Row) -> Number:
    return _number(
        row["source"],
        model=row["model"],
        variant=row["variant"],
        weights=row["weights"],
        quantity=row["metric"],
        dataset=row["dataset"],
        precision=row["precision"],
        value=float(row["value"]),
        unit="%",
        step=float(f"1e-{len(row['value'].partition('.')[2])}"),
        size=int(row["size"]),
        counted_size=int(row["size"]),
        recipe=_recipe(row),
        layout=row["layout"],
        decides=row["decides"] == "yes",
        note=row["note"],
    )


def _recipe(row: Row) -> str:
    """Return the name of the preprocessing of an accuracy, "" where unknown."""
    if row["layout"] == "timm":
        known = [file for file in weights_table() if (file.framework, file.variant) == ("timm", row["variant"])]
        return next((file.recipe for file in known if row["weights"] in (file.training, file.weights)), "")
    return next(
        (
            name
            for name, table in recipe_tables().items()
            if row["layout"] in table["layouts"]
            and row["variant"] in table.get("variants", ())
            and row["weights"] in table.get("weights", ())
        ),
        "",
    )


def _cost(row: Row) -> Number:
    return _number(
        row["source"],
        model=row["model"],
        variant=row["variant"],
        quantity=row["quantity"],
        value=int(row["value"]),
        step=int(row["step"]),
        size=int(row["size"]),
        counted_size=int(row["counted_size"] or row["size"]),
        convention=row["convention"],
        decides=row["decides"] == "yes",
        note=row["note"],
    )


def _of_file(row: Published) -> Iterator[Number]:
    recipe = recipe_tables()[row.recipe]
    shorter_side = recipe.get("sizes", {}).get(row.variant, [0])[0]
    values: tuple[tuple[str, float | int | str | None, str, float], ...] = (
        ("resolution", row.size, _PIXELS, 1),
        ("crop", row.crop_pct, "", 0.001),
        ("shorter side", shorter_side or None, _PIXELS, 1),
        ("interpolation", recipe["resize"].rpartition("-")[2], "", 0),
        ("mean", _triple(recipe["mean"]), "", 0),
        ("std", _triple(recipe["std"]), "", 0),
        ("file bytes", row.bytes, _BYTES, row.bytes_step),
        ("sha256", row.sha256 or name_sha8(row.file_name), "", 0),
        ("md5", row.md5, "", 0),
        ("url", row.url, "", 0),
    )
    for quantity, value, unit, step in values:
        if value is not None:
            yield _number(
                read_publishers()[row.framework].source or row.framework,
                model=row.network,
                variant=row.variant,
                weights=row.training,
                quantity=quantity,
                value=value,
                unit=unit,
                step=step,
                size=row.size,
                counted_size=row.size,
                recipe=row.recipe,
                layout=recipe["layouts"][0],
                decides=True,
                note=row.note,
            )


def _triple(values: list[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)

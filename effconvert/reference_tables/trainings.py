"""Trainings of weights, and the other names that users type for them."""

from functools import cache

from effconvert.reference_tables.reading import read_toml


def training_called(name: str) -> str:
    """Return the training that `name`, one of its other names, means; an unknown name stays as it is.

    Case, hyphens and underscores do not matter. Example: `training_called("NoisyStudent")` is `ns`.
    """
    return _other_names().get(_plain(name), name)


@cache
def _other_names() -> dict[str, str]:
    """Return {other name: training}."""
    tables = read_toml("trainings.toml").items()
    return {_plain(other): training for training, table in tables for other in table["names"]}


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")

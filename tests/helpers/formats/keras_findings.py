"""The check of a Keras graph as its tests ask for it: findings, refusals, and graphs with one change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from effconvert.architecture.variants import VARIANTS
from effconvert.errors import LayoutMismatch
from effconvert.formats.keras.check import Findings, Network, check_graph
from effconvert.formats.keras.graph import read_graph
from helpers.formats.keras_graphs import (
    Config,
    as_keras_2,
    behind,
    chain,
    network,
)

TOP = "top_activation"
POOL, DENSE = ("GlobalAveragePooling2D", "pool"), ("Dense", "dense", {"units": 5})
FORMS = pytest.mark.parametrize("form", [lambda config: config, as_keras_2], ids=["Keras 3", "Keras 2"])
Form = Callable[[Config], Config]


def findings(config: Config, classifier: str = "dense", variant: str = "b0", **told: Any) -> Findings:
    graph = read_graph(config)
    assert graph is not None
    return check_graph(graph, Network(VARIANTS[variant], classifier, **told), Path("x.keras"))


def refused(config: Config, classifier: str = "dense", **told: Any) -> str:
    with pytest.raises(LayoutMismatch) as refusal:
        findings(config, classifier, **told)
    assert "x.keras" in str(refusal.value)
    return str(refusal.value)


def with_head(*layers: tuple[str, str] | tuple[str, str, dict[str, Any]]) -> Config:
    return behind(network(), *chain(TOP, *layers))


def activated(config: Config, activation: object) -> Config:
    for one in config["config"]["layers"]:
        if one["name"].endswith(("_activation", "_se_reduce")):
            one["config"]["activation"] = activation
    return config


def of_every_norm(config: Config, epsilon: object) -> Config:
    for one in config["config"]["layers"]:
        if one["class_name"] == "BatchNormalization":
            one["config"]["epsilon"] = epsilon
    return config

"""Choice of the engine: the fastest of the installed ones whose logits are torch's, on the first images."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from effconvert.errors import NumericMismatch, Unavailable, UnknownName, known_names
from effconvert.model.network import EfficientNet
from effconvert.option_words import option
from effconvert.validate.engines.names import AUTO, ENGINES, FEWEST_IMAGES, OTHERS, TORCH
from effconvert.validate.engines.runtimes import Engine, Values, load_engine
from effconvert.verification.comparison import TOLERANCES, relative_difference

_TOLERANCE = TOLERANCES["float32"].end_to_end
_CLEARLY_FASTER = 1.1  # what is less may be chance


@dataclass(frozen=True)
class Check:
    """The comparison of an engine with torch. difference: of the logits, as a share of the largest."""

    images: int
    difference: float
    tolerance: float = _TOLERANCE

    @property
    def passed(self) -> bool:
        """Whether the engine computes what torch does."""
        return self.difference <= self.tolerance  # not for NaN

    @property
    def words(self) -> str:
        """The figures in words."""
        return (
            f"logits of {self.images} images differ from torch's by {self.difference:.2g} of the largest "
            f"(allowed: {self.tolerance:g})"
        )


@dataclass(frozen=True)
class EngineChoice:
    """The engine of a run. engine: None for torch. rates: images per second of each engine that passed, on the check's.

    refused: {engine: why it was not taken}. reason: why no other engine was tried, "" if one was.
    """

    engine: Engine | None = None
    check: Check | None = None
    rates: Mapping[str, float] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""

    @property
    def name(self) -> str:
        """The name of the engine."""
        return self.engine.name if self.engine else TORCH

    def record(self) -> dict[str, Any]:
        """Return the choice as plain values."""
        return {
            "name": self.name,
            "version": self.engine.version if self.engine else torch.__version__,
            "check": self.check
            and {
                "images": self.check.images,
                "difference": self.check.difference,
                "tolerance": self.check.tolerance,
            },
            "images_per_second": {name: round(rate, 1) for name, rate in self.rates.items()},
            "refused": dict(self.refused),
            "reason": self.reason,
        }


def wanted_engine(asked: str, images: int, other: str = "") -> tuple[str, str]:
    """Return the engine to take, or `auto` if it is to be chosen; and why torch is not to be replaced, if so.

    other: what is asked for that only torch does, such as `device cuda`. Raises Unavailable for another engine then,
    UnknownName for what is not an engine.
    """
    if asked not in ENGINES:
        raise UnknownName(f"{asked}: is not an engine; {known_names(asked, ENGINES)}")
    if asked in OTHERS and other:
        raise Unavailable(
            f"{option('engine', asked)}: computes in float32 on the CPU, and not with {other}; omit one of them"
        )
    if asked != AUTO:
        return asked, f"{option('engine', asked)} was given" if asked == TORCH else ""
    if other:
        return TORCH, f"only torch computes with {other}"
    if images < FEWEST_IMAGES:
        return TORCH, f"for fewer than {FEWEST_IMAGES:,} images no other engine is tried"
    return AUTO, ""


def choose_engine(
    asked: str,
    network: EfficientNet,
    images: Values,
    computed: Callable[[], NDArray[np.float32]],
    at_once: int | None = None,
) -> EngineChoice:
    """Return the engine `asked`, or for `auto` the fastest; each is compared with torch on `images` [N, C, size, size].

    computed: returns torch's logits of `images`. at_once: as in `load_engine`. With `auto` an engine that is not
    installed or differs is not taken, and the choice says why. Raises Unavailable if `asked` is not installed or cannot
    run the network, NumericMismatch if its logits differ.
    """
    reference = computed()
    if not np.isfinite(reference).all():  # the run will tell
        return EngineChoice(reason="torch's own logits are NaN or infinite")
    tried: dict[str, tuple[Engine, Check]] = {}
    seconds, refused = {TORCH: _seconds(computed) if asked == AUTO else 0.0}, {}
    for name in OTHERS if asked == AUTO else (asked,):
        try:
            engine = load_engine(name, network, images.shape[-1], torch.get_num_threads(), at_once)
            check = Check(len(images), relative_difference(_logits(engine, images), reference))
            if not check.passed:
                raise NumericMismatch(f"{name} {engine.version}: {check.words}")
        except (Unavailable, NumericMismatch) as error:
            if asked != AUTO:
                raise type(error)(f"{option('engine', name)}: {error}") from error
            refused[name] = str(error)
            continue
        tried[name], seconds[name] = (engine, check), _seconds(partial(_logits, engine, images))
    rates = {name: len(images) / taken for name, taken in seconds.items() if taken}
    best = asked if asked != AUTO else _fastest(rates)
    found, check_of_it = tried.get(best, (None, None))
    return EngineChoice(found, check_of_it, rates if asked == AUTO else {}, refused)


def _fastest(rates: Mapping[str, float]) -> str:
    best = TORCH
    for name, rate in rates.items():
        if rate > rates[best] * (_CLEARLY_FASTER if best != TORCH else 1):
            best = name
    return best


def _logits(engine: Engine, images: Values) -> Values:
    try:
        return engine.logits(len(images), images.__getitem__)
    except Exception as error:  # an engine raises many kinds
        words = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise Unavailable(f"{engine.name} {engine.version} cannot run this network: {words}") from error


def _seconds(compute: Callable[[], object]) -> float:
    """Return the shorter time of two."""
    times = []
    for _ in range(2):
        begin = time.perf_counter()
        compute()
        times.append(time.perf_counter() - begin)
    return min(times)

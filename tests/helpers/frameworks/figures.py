"""Measuring the difference of two arrays, and listing all measurements at the end of the run."""

import numpy as np
from numpy.typing import ArrayLike

measured: list[tuple[str, str, float, str]] = []


def distance(found: ArrayLike, reference: ArrayLike) -> float:
    """Return max |found - reference| / max |reference|; NaN where either has one, which no tolerance admits."""
    found, reference = np.asarray(found, np.float64), np.asarray(reference, np.float64)
    assert found.shape == reference.shape, (found.shape, reference.shape)
    assert reference.size
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def record(case: str, what: str, value: float, bound: str) -> float:
    """Remember `value` under `case` and `what`, with the bound that it is held against, and return it."""
    measured.append((case, what, value, bound))
    return value


def table() -> list[str]:
    """Return everything that was measured, one line each."""
    cases = max(len(case) for case, *_ in measured)
    whats = max(len(what) for _, what, *_ in measured)
    return [f"{case:{cases}}  {what:{whats}}  {value:9.2e}  {bound}" for case, what, value, bound in measured]

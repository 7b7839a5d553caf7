"""Strict reading of JSON, as its standard requires."""

import json
from typing import Any


def parsed(text: str) -> dict[str, Any]:
    """Return what `text` says; NaN and infinity are not JSON."""

    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found: dict[str, Any] = json.loads(text, parse_constant=refused)
    return found

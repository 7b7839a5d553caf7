"""The compiled modules beside this one, which are optional: they only save time."""

import importlib
from typing import Any


def extension(name: str) -> Any:
    """Return the compiled module, or None where it was not built."""
    try:
        return importlib.import_module(f"effconvert.preprocessing.{name}")
    except ImportError:
        return None

"""YAML that reads back equal and shows every character: hidden ones are written as escapes."""

from typing import Any

import yaml

_WIDTH = 120


def yaml_text(value: Any) -> str:
    """Return `value` as YAML, its keys in their own order."""
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=_WIDTH)
    if text.replace("\n", "").isprintable():
        return text
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=_WIDTH)

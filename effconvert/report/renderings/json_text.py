"""JSON that people read: no character of it controls a terminal."""

import json
from typing import Any


def json_text(value: Any, **options: Any) -> str:
    """Return `value` as JSON for people: letters of any language as they are, what controls a terminal escaped."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, **options)
    if text.replace("\n", "").isprintable():
        return text + "\n"
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text) + "\n"

"""Options in messages: `--force` for those who type commands, `force=True` for those who write Python.

A message names an option by the functions here, so that its remedy can be typed where the message is read.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

_PLACEHOLDER = "…"

# Not a ContextVar: a conversion also raises in threads, which would not see it.
_typed = False


@contextmanager
def typed_options() -> Iterator[None]:
    """Name options as they are typed after a command, until the block ends; else they are Python's."""
    global _typed
    before, _typed = _typed, True
    try:
        yield
    finally:
        _typed = before


def are_typed() -> bool:
    """Return whether options are named as they are typed: for a process that works for this one."""
    return _typed


def flag(name: str) -> str:
    """Return an option that is on or off: `--fold-eps`, in Python `fold_eps=True`."""
    return _dashed(name) if _typed else f"{name}=True"


def option(name: str, value: str | Mapping[str, object] | Sequence[str] = "") -> str:
    """Return an option that has a value, with it or alone.

    `--root`, `--variant b0`, `--facts bn_eps=0.001`, `--leave 'aux.*'`; in Python `root=…`, `variant="b0"`,
    `facts={"bn_eps": 0.001}`, `leave=["aux.*"]`.
    """
    if isinstance(value, Mapping):
        typed = [f"{key}={one}" for key, one in value.items()]
        written = "{" + ", ".join(f'"{key}": {_quoted(one)}' for key, one in value.items()) + "}"
    elif isinstance(value, str):
        typed, written = [value], _quoted(value or _PLACEHOLDER)
    else:
        typed, written = [shlex.quote(one) for one in value], f"[{', '.join(map(_quoted, value))}]"
    return " ".join(f"{_dashed(name)} {one}".rstrip() for one in typed) if _typed else f"{name}={written}"


def either(typed: str, written: str) -> str:
    """Return the words for those who type commands, or those for who writes Python."""
    return typed if _typed else written


def _dashed(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _quoted(value: object) -> str:
    import json  # only for Python: `effconvert --help` does not wait for it

    return _PLACEHOLDER if value == _PLACEHOLDER else json.dumps(value, ensure_ascii=False, default=str)

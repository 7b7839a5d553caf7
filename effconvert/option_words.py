"""Options in messages: `--force` for those who type commands, `force=True` for those who write Python.

A message names an option by the functions here, so that its remedy can be typed where the message is read.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

PLACEHOLDER = "…"

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
    if isinstance(value, str):
        return f"{_dashed(name)} {value}".rstrip() if _typed else f"{name}={_quoted(value or PLACEHOLDER)}"
    return _of_several(name, value)


def in_full(options: Mapping[str, object]) -> list[str]:
    """Return every option that has a value, quoted, for a whole command or call that can be copied."""
    return [_in_full(name, value) for name, value in options.items() if value]


def _in_full(name: str, value: object) -> str:
    if value is True:
        return _dashed(name) if _typed else f"{name}=True"
    if isinstance(value, str):
        typed = value if value == PLACEHOLDER else shlex.quote(value)
        return f"{_dashed(name)} {typed}" if _typed else f"{name}={_quoted(value)}"
    assert isinstance(value, Mapping | Sequence)
    return _of_several(name, value)


def either(typed: str, written: str) -> str:
    """Return the words for those who type commands, or those for who writes Python."""
    return typed if _typed else written


def _of_several(name: str, value: Mapping[str, object] | Sequence[str]) -> str:
    if isinstance(value, Mapping):
        typed = [f"{key}={one}" for key, one in value.items()]
        written = "{" + ", ".join(f'"{key}": {_quoted(one)}' for key, one in value.items()) + "}"
    else:
        typed, written = [shlex.quote(one) for one in value], f"[{', '.join(map(_quoted, value))}]"
    return " ".join(f"{_dashed(name)} {one}" for one in typed) if _typed else f"{name}={written}"


def _dashed(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _quoted(value: object) -> str:
    import json  # only for Python: `effconvert --help` does not wait for it

    return PLACEHOLDER if value == PLACEHOLDER else json.dumps(value, ensure_ascii=False, default=str)

"""The result of a command."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code, standard output, standard error."""

    exit_code: int
    out: str
    err: str

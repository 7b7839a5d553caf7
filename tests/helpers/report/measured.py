"""Output of the commands for a network that was really measured and verified."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Real:
    """What `validate` and `verify --json` left of one converted file; do not change it."""

    run: Path
    verification: Path

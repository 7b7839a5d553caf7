"""Record of a verification in plain values, for JSON and for reports."""

import datetime
import platform
from typing import Any

from effconvert.verification.procedure import Verification
from effconvert.version import VERSION


def describe_verification(found: Verification, seconds: float) -> dict[str, Any]:
    """Return the verification as plain values; only `run` changes when the same files are verified again."""
    return {**found.to_dict(), "run": _run_block(seconds)}


def _run_block(seconds: float) -> dict[str, Any]:
    """Return the values that are different each time."""
    return {
        "effconvert": VERSION,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": platform.platform(),
    }

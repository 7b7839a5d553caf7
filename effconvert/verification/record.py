"""Record of a verification in plain values, for JSON and for reports."""

import datetime
import platform
from typing import Any

from effconvert.identify.preprocessing import training_of
from effconvert.verification.comparison import plain
from effconvert.verification.network_files import NetworkFile
from effconvert.verification.procedure import Verification
from effconvert.version import VERSION

SCHEMA = "effconvert/verification/1"


def describe_verification(found: Verification, seconds: float) -> dict[str, Any]:
    """Return the verification as plain values; only `run` changes when the same files are verified again."""
    return {
        **found.verdict.to_dict(),
        "schema": SCHEMA,
        "converted": _file(found.converted),
        "source": _file(found.source) | dict(found.reference),
        "inputs": {**found.inputs.words, "sha256": found.inputs.sha256},
        "roundings": [plain(vars(rounding)) for rounding in found.roundings],
        "rounding_cost": plain(found.rounding_cost),
        "judgement": found.judgement,
        "tensors_of_first": [
            {"canonical": name, "source": source, "values_differ": differs}
            for name, (source, differs) in found.tensors.items()
        ],
        "unlike_tensors": plain(dict(found.unlike)),
        "causes": [plain(vars(trial)) for trial in found.trials],
        "cautions": list(found.cautions),
        "run": _run_block(seconds),
    }


def _run_block(seconds: float) -> dict[str, Any]:
    """Return the values that are different each time."""
    return {
        "effconvert": VERSION,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": platform.platform(),
    }


def _file(file: NetworkFile) -> dict[str, Any]:
    description = file.identity.description
    return {
        "path": str(file.path),
        "sha256": dict(file.sha256),
        "layout": file.identity.layout_name,
        "variant": file.identity.variant.name,
        "weights": training_of(file.identity, file.options.weights),
        "taken": file.coverage.taken,
        "tensors": file.tensors_sha256,
        "coverage": file.coverage.counts(),
        "origin": description.origin() if description else None,
        "dtype": file.dtype,
        "facts": file.facts.to_dict(),
        "assumed": sorted(file.identity.assumed),
    }

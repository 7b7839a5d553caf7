"""`python -m helpers.fuzzing [TARGET …]`: fuzz targets one after another, and say what was found.

With atheris, inputs are chosen by the code that they reach. Without it, seeded mutations in Python run the same
targets, and the report says so. Each target has a process of its own: a decoder in C can end it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from helpers.fuzzing import corpus
from helpers.fuzzing.targets import TARGETS
from helpers.places import PROJECT, TESTS

FOUND = PROJECT / ".fuzz"


def main() -> int:
    """Run what was asked for; 1 if a fault was found."""
    asked = _arguments()
    faults = 0
    print(
        f"{'target':22}{'engine':10}{'executions':>12}{'a second':>10}{'read':>6}{'edges':>7}{'inputs':>8}{'faults':>8}"
    )
    for name in asked.targets or TARGETS:
        found = fuzz(name, asked.seconds, asked.executions, asked.seed, asked.folder)
        faults += sum(found["faults"].values())
        speed = found["executions"] / max(found["seconds"], 1e-9)
        read = f"{found['accepted'] / max(1, found['executions']):.0%}"
        print(
            f"{name:22}{found['engine']:10}{found['executions']:12,}{speed:10,.0f}{read:>6}{found['edges']:>7}"
            f"{found['inputs']:>8}{sum(found['faults'].values()):8,}",
            flush=True,
        )
        for kind, count in found["faults"].items():
            print(f"    {count:,} times {kind}", flush=True)
        if asked.save:
            _save(name, asked.folder)
    print(f"inputs of faults are in {asked.folder / 'faults'}" if faults else "no faults", flush=True)
    return int(faults > 0)


def fuzz(name: str, seconds: float, executions: int, seed: int, folder: Path = FOUND) -> dict[str, Any]:
    """Fuzz one target in a process of its own, until time or executions are up; return what its process wrote."""
    inputs = folder / "corpus" / name
    inputs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="effconvert-fuzz-") as own:
        result = Path(own) / "result.json"
        command = [
            sys.executable,
            "-m",
            "helpers.fuzzing.process",
            name,
            str(result),
            str(inputs),
            str(folder / "faults"),
        ]
        limits = [str(seconds), str(executions), str(seed)]
        log = Path(own) / "log"
        with log.open("wb") as file:
            ended = subprocess.run(
                [*command, *limits], cwd=TESTS, env=_environment(), stdout=file, stderr=file, check=False
            )
        text = log.read_bytes().decode("utf-8", "replace")
        noted = json.loads(result.read_text()) if result.exists() else {}
        found: dict[str, Any] = {"engine": "?", "executions": 0, "accepted": 0, "seconds": 0.0, "faults": {}} | noted
        if ended.returncode or not result.exists():
            said = text.strip().splitlines()[-1:] or ["no word"]
            found["faults"][f"the process ended with {ended.returncode}: {said[0][:200]}"] = 1
            (folder / "faults").mkdir(parents=True, exist_ok=True)
            (folder / "faults" / f"{name}.log").write_text(text[-100_000:])
    edges = [word for line in text.splitlines() if " cov: " in line for word in [line.split(" cov: ")[1].split()[0]]]
    return found | {"edges": edges[-1] if edges else "-", "inputs": sum(1 for _ in inputs.iterdir())}


def _environment() -> dict[str, str]:
    """Return the environment of a target: one thread, no user's settings, the same hashes of texts each time."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EFFCONVERT")}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONPATH": str(TESTS)}


def _save(name: str, folder: Path) -> None:
    target = TARGETS[name]
    inputs = [path.read_bytes() for path in sorted((folder / "corpus" / name).iterdir())]
    kept = corpus.minimised(target, [*target.seeds(), *corpus.load(target), *inputs])
    corpus.save(target, kept)
    print(f"    saved {len(kept)} of {len(inputs):,} inputs", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET", help="which (all)")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each target (20)")
    parser.add_argument("--executions", type=int, default=1 << 60, help="stop a target after so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=FOUND, help="where inputs are kept between runs (.fuzz)")
    parser.add_argument(
        "--save", action="store_true", help="keep the smallest inputs that reach every line in tests/fuzz/corpus"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

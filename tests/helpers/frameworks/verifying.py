"""Shared helpers of the tests of `effconvert verify`: a library's file, its conversion, and the command line."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import effconvert
from effconvert.cli import main
from helpers.frameworks.figures import record
from helpers.frameworks.served_runners import runners_served
from helpers.frameworks.torch_libraries import calibrated, write
from helpers.running import Ran

TOLERANCE = 2e-5


def effconvert_command(*arguments: object, **variables: str) -> Ran:
    """Run `effconvert` in a separate process."""
    command = [sys.executable, "-m", "effconvert", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})
    return Ran(done.returncode, done.stdout, done.stderr)


def effconvert_served(*arguments: object) -> Ran:
    """Run `effconvert` in this process, and the runners that it starts by servers."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err), runners_served():
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


def library_file(folder: Path, layout: str, variant: str, name: str, **facts: object) -> Path:
    """Write a calibrated network as `layout` has it and return the file `name`; images are of 96 pixels."""
    write(calibrated(variant, (96, 96), **facts), folder / name, layout)
    return folder / name


def verified(
    converted: Path, source: Path, *options: object, command: Callable[..., Ran] = effconvert_served
) -> tuple[Ran, dict[str, Any]]:
    """Verify with the command line, and return what was printed and the document."""
    report = converted.parent / "report.json"
    ran = command("verify", converted, "--against", source, "--json", report, *options)
    return ran, json.loads(report.read_text()) if report.exists() else {}


def assert_verified(case: str, source: Path, *options: object, **conversion: Any) -> dict[str, Any]:
    """Convert `source` to canonical, and assert that verification finds the same network; return its document."""
    converted = source.parent / "converted.safetensors"
    effconvert.convert(source, converted, force=True, **conversion)
    ran, document = verified(converted, source, *options)
    assert ran.exit_code == 0, ran.out + ran.err
    assert document["verdict"] == "same"
    assert record(f"verify {case}", "sensitivity", document["sensitivity"], ">= 0.1") >= 0.1
    rows = [row for pair in document["comparisons"] for row in pair["rows"]]
    assert {row["mode"] for row in rows} == {"accumulated", "fed"}
    worst = max(row["relative"] for row in rows if row["mode"] == "accumulated")
    record(
        f"verify {case}", "largest when fed", max(row["relative"] for row in rows if row["mode"] == "fed"), "<= 1e-05"
    )
    assert record(f"verify {case}", "worst layer", worst, f"<= {TOLERANCE:.0e}") <= TOLERANCE
    return document

"""Benchmark of `effconvert verify` on B0 against TensorFlow, and of `effconvert compare` on two saved runs.

The lower bound of a verification is running the networks: TensorFlow once and torch twice, each in its own process. The
lower bound of a comparison is reading both files with numpy.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from stopwatch import measure_all, print_table

from effconvert.demo.calibrated import make_example

READ = "import sys, numpy; [[dict(numpy.load(path).items())] for path in sys.argv[1:]]"


def main() -> None:
    """Print one table for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory(prefix="effconvert-") as name:
        folder = Path(name)
        (folder / "demo").mkdir()
        make_example(folder / "demo")
        source, converted = str(folder / "demo" / "efficientnet-b0"), str(folder / "demo" / "b0.safetensors")
        tool = [sys.executable, "-m", "effconvert"]
        first, second = str(folder / "source.npz"), str(folder / "converted.npz")
        run_source = [*tool, "run", source, "--force", "--out", first]
        run_converted = [*tool, "run", converted, "--force", "--follow", first, "--out", second]
        measured = measure_all(
            {
                "run: TensorFlow's network": run_source,
                "run: the canonical network, following": run_converted,
                "verify": [*tool, "verify", converted, "--against", source],
            },
            runs,
        )
        print_table(measured, "TensorFlow's run")
        measured = measure_all(
            {
                "numpy reads both": [sys.executable, "-c", READ, first, second],
                "compare": [*tool, "compare", first, second],
            },
            runs,
        )
        print_table(measured, "reading")


if __name__ == "__main__":
    main()

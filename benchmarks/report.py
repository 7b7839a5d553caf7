"""Benchmark of `effconvert report` on ten runs of 50,000 predictions, and of a page of a thousand networks in Chromium.

The runs are synthetic, of B0 to B7 in turn, and as large as runs on ImageNet's validation set. The lower bound of a
report is reading the runs with numpy. The page is opened from its file, each time in a new headless browser.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from stopwatch import measure_all, print_table
from tabulate import tabulate

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from effconvert.architecture.variants import VARIANTS
from effconvert.report.writing import write_report
from helpers.frameworks.browser import chromium
from helpers.report.made_documents import made_document, typed
from helpers.report.made_inputs import run_record, write_run

READ = "import sys, numpy; [dict(numpy.load(path).items()) for path in sys.argv[1:]]"
TIMES = """
const [loading] = performance.getEntriesByType("navigation");
const [painted] = performance.getEntriesByName("first-contentful-paint");
return [painted.startTime, loading.domContentLoadedEventEnd, loading.loadEventEnd].map((time) => time / 1000);
"""


def main() -> None:
    """Print a table of the command, and one of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--networks", type=int, default=1000, help="on the page")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="effconvert-") as name:
        folder = Path(name)
        time_command(folder, arguments.runs)
        time_page(folder, arguments.networks, arguments.runs)


def time_command(folder: Path, runs: int) -> None:
    """Print the time and memory of reports on one and on ten runs."""
    files = [str(written_run(folder / f"run-{number}.npz", number)) for number in range(10)]
    tool = [sys.executable, "-m", "effconvert"]
    commands = {
        "numpy reads ten runs": [sys.executable, "-c", READ, *files],
        "report of one run": [*tool, "report", files[0], "--out", str(folder / "out-one")],
        "report of ten runs": [*tool, "report", *files, "--out", str(folder / "out-ten")],
        "report --published": [*tool, "report", "--published", "--out", str(folder / "out-published")],
    }
    print_table(measure_all(commands, runs), "reading")


def written_run(path: Path, number: int) -> Path:
    """Write a run of one of the variants, with its own number of hits."""
    variant = f"b{number % 8}"
    record = run_record(variant, f"{number}" * 64, recipe={"size": VARIANTS[variant].resolution})
    return write_run(path, hits=38_500 + 300 * number, record=record)


def time_page(folder: Path, networks: int, runs: int) -> None:
    """Print the time to write and to open a page of many networks, and its size."""
    document = made_document(networks)
    start = time.perf_counter()
    write_report(typed(document), folder / "many")
    seconds = time.perf_counter() - start
    page = folder / "many" / "report.html"
    first, ready, loaded = (median(times) for times in zip(*(opened(page) for _ in range(runs)), strict=True))
    rows = [
        ["all renderings made, s", seconds],
        ["the page, MB", page.stat().st_size / 1e6],
        ["opened: first painted, s", first],
        ["opened: tables can be sorted, s", ready],
        ["opened: loaded, s", loaded],
    ]
    print()
    print(tabulate(rows, [f"{networks:,} networks, Chromium", "median"], floatfmt=".2f"))


def opened(page: Path) -> tuple[float, ...]:
    """Return seconds from the start of navigation to the first paint, to the end of the script, and to `load`."""
    with chromium() as browser:
        browser.open(page)
        return tuple(browser.run(TIMES))


if __name__ == "__main__":
    main()

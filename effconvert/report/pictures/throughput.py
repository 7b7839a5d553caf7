"""Chart of the time of a validation by stage: seconds of the workers and of the main process for 1,000 images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from effconvert.report.pictures.panel import Entry, Panel, Scale, Sheet, legend, legend_height
from effconvert.report.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    PURPLE,
    SHOWS,
    SMALL,
    VERMILLION,
    Drawing,
    fitted,
    text_width,
)
from effconvert.report.renderings.numbers_text import rate
from effconvert.report.renderings.text import shortened

NAME, TITLE = "throughput", "Throughput by stage"
HEADERS = (
    "network", "images_per_second", "seconds", "reading_seconds_of_workers", "preparing_seconds_of_workers",
    "waiting_seconds_of_processes", "copying_seconds_of_processes", "network_images_per_second_of_a_process",
    "workers_of_a_process", "processes", "device", "dtype", "pipeline", "drawn",
)  # fmt: skip
_SHOWN = 20
_WIDTH, _NAMES, _RATE, _ROW, _BAR = 760, 220, 96, 42, 12
# Colour and opacity of each stage; adjacent ones also differ in grey print.
_LOOKS = {
    "reading": (GREY, 1.0),
    "preparing": (BLUE, 0.45),
    "waiting": (PURPLE, 0.0),
    "copying": (VERMILLION, 1.0),
    "computing": (GREEN, 0.45),
}
_WORDS = {
    "reading": "reading (workers)",
    "preparing": "decoding and resizing (workers)",
    "waiting": "waiting for workers",
    "copying": "copying to the device",
    "computing": "the network",
}
_UPPER, _LOWER = ("reading", "preparing"), ("waiting", "copying", "computing")


@dataclass(frozen=True)
class Run:
    """One run. stages: seconds for 1,000 images, divided by the number of parallel workers or processes."""

    name: str
    how: str
    per_second: float
    stages: Mapping[str, float]


def draw(document: dict[str, Any]) -> Drawing | None:
    """Draw the stages of each run, the slowest first, at most 20."""
    networks = [one for one in document["networks"] if one["throughput"] and one["throughput"]["images_per_second"]]
    if not networks:
        return None
    slowest = sorted(networks, key=lambda one: one["throughput"]["images_per_second"])[:_SHOWN]
    drawn = {one["id"] for one in slowest}
    rows = tuple(_line(one, one["id"] in drawn) for one in networks)
    runs = [_run(one) for one in slowest]
    return Drawing(NAME, TITLE, _text(runs, len(networks)), HEADERS, rows, _figure(runs))


def _line(network: Mapping[str, Any], drawn: bool) -> tuple[Any, ...]:
    found = network["throughput"]
    stages = [found["stages"][name] for name in ("reading", "preparing", "waiting", "copying")]
    how = [found[name] for name in ("workers", "ranks", "device", "dtype", "pipeline")]
    rates = (found["images_per_second"], found["seconds"])
    return (network["name"], *rates, *stages, found["model_images_per_second"], *how, drawn)


def _run(network: Mapping[str, Any]) -> Run:
    """Return the stages: the time of workers divided by their number, that of processes by theirs.

    On a GPU a process waits, copies and computes at the same time, so these need not add up to the elapsed time.
    """
    found = network["throughput"]
    spent = {stage: seconds or 0.0 for stage, seconds in found["stages"].items()}
    # The images of the stages; the rates leave out the first batch.
    prepared = (found["prepared_per_core_second"] or 0) * spent["preparing"]
    thousands = (prepared or found["images_per_second"] * (found["seconds"] or 0) or 1) / 1000
    processes = found["ranks"] or 1
    workers = processes * (found["workers"] or 1)
    alone = found["model_images_per_second"]
    stages = {
        "reading": spent["reading"] / workers / thousands,
        "preparing": spent["preparing"] / workers / thousands,
        "waiting": spent["waiting"] / processes / thousands,
        "copying": spent["copying"] / processes / thousands,
        "computing": 1000 / alone / processes if alone else 0.0,
    }
    parts = (_count(workers, "worker"), _count(processes, "process") if processes > 1 else "", found["dtype"])
    where = found["device_name"] or found["device"]
    return Run(network["name"], ", ".join(map(str, filter(None, (*parts, where)))), found["images_per_second"], stages)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 'es' if what.endswith('s') else 's'}"


def _text(runs: Sequence[Run], found: int) -> str:
    slowest, fastest = runs[0], runs[-1]
    longest = max(slowest.stages, key=lambda stage: slowest.stages[stage])
    rates = [f"{rate(run.per_second)} images/s ({shortened(run.name, 60)})" for run in (slowest, fastest)]
    sentences = [
        f"From {rates[0]} to {rates[1]}." if len(runs) > 1 else f"{rates[0]}.",
        f"The slowest run spends most time on {_WORDS[longest]}: {slowest.stages[longest]:.3g} s for 1,000 images.",
        f"The {len(runs)} slowest of {found:,} runs are drawn." if found > len(runs) else "",
    ]
    return " ".join(filter(None, sentences))


def _figure(runs: Sequence[Run]) -> Figure:
    entries: list[Entry] = [(words, _square(stage)) for stage, words in _WORDS.items()]
    passed = {"marker": "|", "markersize": 13, "markeredgewidth": 1.6, "color": INK, "linestyle": "none"}
    entries.append(("elapsed time", passed))
    top = legend_height(entries, _WIDTH) + 14
    left = min(_NAMES, max(text_width(text) for run in runs for text in _labels(run))) + 12
    sheet = Sheet(_WIDTH, top + len(runs) * _ROW + 44)
    legend(sheet, 2, 0, _WIDTH, entries)
    longest = max(max(sum(run.stages[one] for one in bar) for bar in (_UPPER, _LOWER)) for run in runs)
    longest = max(longest, *(1000 / run.per_second for run in runs))
    panel = Panel(
        sheet, left, top, _WIDTH - left - _RATE, len(runs) * _ROW, Scale(0, longest * 1.02), Scale(len(runs), 0)
    )
    panel.draw_ticks_across(
        [(tick, f"{tick:g}") for tick in panel.across.ticks()],
        "seconds for 1,000 images; workers' time divided by their number; on a GPU stages overlap",
    )
    for number, run in enumerate(runs):
        _draw_run(panel, run, top + number * _ROW)
    return sheet.figure


def _labels(run: Run) -> tuple[str, str]:
    return fitted(run.name, _NAMES), fitted(run.how, _NAMES, SMALL)


def _square(stage: str) -> dict[str, Any]:
    colour, opacity = _LOOKS[stage]
    inside = to_rgba(colour, opacity)
    return {"marker": "s", "markersize": 10, "markeredgecolor": colour, "markerfacecolor": inside, "linestyle": "none"}


def _draw_run(panel: Panel, run: Run, top: float) -> None:
    sheet = panel.sheet
    for number, bar in enumerate((_UPPER, _LOWER)):
        at, y = 0.0, top + 6 + number * (_BAR + 3)
        for stage in bar:
            begin, at = at, at + run.stages[stage]
            colour, opacity = _LOOKS[stage]
            width = float(panel.x(at) - panel.x(begin))
            if width > 0:
                filled = {"facecolor": to_rgba(colour, opacity), "edgecolor": colour, "linewidth": 1}
                sheet.box(float(panel.x(begin)), y, width, _BAR, gid=f"{SHOWS}{stage}", **filled)
    passed = float(panel.x(1000 / run.per_second))
    sheet.line([passed] * 2, [top + 4, top + 2 * _BAR + 11], color=INK, linewidth=1.6, gid=f"{SHOWS}passed")
    name, how = _labels(run)
    middle = top + 6 + _BAR
    sheet.text(panel.left - 8, middle - 1, name, ha="right", va="baseline")
    sheet.text(panel.left - 8, middle + 13, how, ha="right", va="baseline", fontsize=SMALL)
    said = f"{rate(run.per_second)} images/s"
    sheet.text(_WIDTH - 2, middle + 5, said, ha="right", va="baseline", gid=f"{SHOWS}rate")

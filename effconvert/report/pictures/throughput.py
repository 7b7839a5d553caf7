"""Chart of the time of a validation by stage: shares of it that the workers and the main process spent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from effconvert.report.pictures.panel import legend, legend_height, panel, sheet, write
from effconvert.report.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    PURPLE,
    SHOWS,
    SIZE,
    SMALL,
    VERMILLION,
    Drawing,
    fitted,
    text_width,
)
from effconvert.report.renderings.numbers_text import FIRST_BATCH, processes_words, rate, seconds
from effconvert.report.renderings.text import shortened

NAME, TITLE = "throughput", "Throughput by stage"
HEADERS = (
    "network", "images_per_second", "seconds", "reading_seconds_of_workers", "preparing_seconds_of_workers",
    "waiting_seconds_of_processes", "copying_seconds_of_processes", "network_images_per_second_of_a_process",
    "workers_of_a_process", "processes", "device", "dtype", "pipeline", "drawn",
)  # fmt: skip
_SHOWN = 20
_WIDTH, _NAMES, _NUMBERS, _ROW = 856, 280, 108, 42
# Colour and opacity of each stage; adjacent ones also differ in grey print.
_LOOKS = {
    "reading": (GREY, 1.0),
    "preparing": (BLUE, 0.45),
    "waiting": (PURPLE, 0.0),
    "copying": (VERMILLION, 1.0),
    "computing": (GREEN, 0.45),
}
_ELAPSED: dict[str, Any] = {"facecolor": to_rgba(INK, 0.07), "edgecolor": "none"}
_WORDS = {
    "reading": "reading (workers)",
    "preparing": "decoding and resizing (workers)",
    "computing": "the network",
    "waiting": "waiting for workers",
    "copying": "copying to the device",
}
_UPPER, _LOWER = ("reading", "preparing"), ("computing", "copying", "waiting")


@dataclass(frozen=True)
class Run:
    """One run. elapsed: its seconds; shares: of these, which each stage took.

    Times of workers and processes are divided by their number.
    """

    name: str
    how: str
    per_second: float
    elapsed: float
    shares: Mapping[str, float]


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
    """Return the stages of a run as shares of its seconds, which all of them together do not exceed.

    The time of the network is that of its rate without the first batch, so it is at most what the other stages leave
    of the time. On a GPU the network computes while a process waits and copies: only what it leaves counts as these.
    """
    found = network["throughput"]
    spent = {stage: time or 0.0 for stage, time in found["stages"].items()}
    prepared = (found["prepared_per_core_second"] or 0) * spent["preparing"]
    images = prepared or found["images_per_second"] * (found["seconds"] or 0) or 1000
    elapsed = found["seconds"] or images / found["images_per_second"]
    processes = found["ranks"] or 1
    workers = processes * (found["workers"] or 1)  # without any, the process itself prepares
    alone = found["model_images_per_second"]
    upper = _within(elapsed, {stage: spent[stage] / workers for stage in _UPPER})
    computing = {"computing": images / alone / processes if alone else 0.0}
    others = {stage: spent[stage] / processes for stage in ("copying", "waiting")}
    left = elapsed - (0 if found["workers"] else sum(upper.values()))  # without workers the process prepares the images
    lower = _within(left, others | computing if found["device"] == "cpu" else computing | others)
    shares = {stage: time / elapsed for stage, time in (upper | lower).items()}
    device = found["device_name"] or found["device"]
    how = ", ".join(map(str, filter(None, (processes_words(found["workers"], found["ranks"]), found["dtype"], device))))
    return Run(network["name"], how, found["images_per_second"], elapsed, shares)


def _within(elapsed: float, times: Mapping[str, float]) -> dict[str, float]:
    """Return the times, the first ones whole, as far as they fit into `elapsed` one after another."""
    left, fitting = elapsed, {}
    for stage, time in times.items():
        fitting[stage] = min(time, left)
        left -= fitting[stage]
    return fitting


def _text(runs: Sequence[Run], found: int) -> str:
    slowest, fastest = runs[0], runs[-1]
    longest = max(_LOWER, key=lambda stage: slowest.shares[stage])
    rates = [f"{rate(run.per_second)} images/s ({shortened(run.name, 60)})" for run in (slowest, fastest)]
    sentences = [
        f"From {rates[0]} to {rates[1]}." if len(runs) > 1 else f"{rates[0]}.",
        f"{'The slowest run' if len(runs) > 1 else 'It'} spends {100 * slowest.shares[longest]:.0f} % of its time on "
        f"{_WORDS[longest]}.",
        f"{FIRST_BATCH}.",
        f"The {len(runs)} slowest of {found:,} runs are drawn." if found > len(runs) else "",
    ]
    return " ".join(filter(None, sentences))


def _figure(runs: Sequence[Run]) -> Figure:
    entries = [Patch(label=words, **_filled(stage)) for stage, words in _WORDS.items()]
    entries.append(Patch(label="starting, idle, or other work", **_ELAPSED))
    top = legend_height(entries, _WIDTH) + 14
    names = [(fitted(run.name, _NAMES), fitted(run.how, _NAMES, SMALL)) for run in runs]
    left = max(max(text_width(name), text_width(how, SMALL)) for name, how in names) + 12
    figure = sheet(_WIDTH, top + len(runs) * _ROW + 36)
    legend(figure, entries, _WIDTH)
    axes = panel(figure, left, top, _WIDTH - left - _NUMBERS, len(runs) * _ROW)
    axes.set(
        xlim=(0, 100), ylim=(len(runs), 0), xlabel="share of the elapsed time, %; workers: of all workers together"
    )
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    for number, (run, (name, how)) in enumerate(zip(runs, names, strict=True)):
        for bar, at in ((_UPPER, number + 0.32), (_LOWER, number + 0.68)):
            axes.barh(at, 100, 0.3, **_ELAPSED, gid=f"{SHOWS}band")
            begin = 0.0
            for stage in bar:
                axes.barh(at, 100 * run.shares[stage], 0.3, begin, **_filled(stage), gid=f"{SHOWS}{stage}")
                begin += 100 * run.shares[stage]
        ends = {"xycoords": axes.get_yaxis_transform(), "ha": "right"}
        for down, words, size, time in (
            (0.32, name, SIZE, f"{rate(run.per_second)} images/s"),
            (0.68, how, SMALL, f"{seconds(run.elapsed)} in all"),
        ):
            write(axes, words, (0, number + down), (-8, 0), fontsize=size, **ends)
            write(axes, time, (1, number + down), (_NUMBERS - 2, 0), **ends)
    return figure


def _filled(stage: str) -> dict[str, Any]:
    colour, opacity = _LOOKS[stage]
    return {"facecolor": to_rgba(colour, opacity), "edgecolor": colour, "linewidth": 1}

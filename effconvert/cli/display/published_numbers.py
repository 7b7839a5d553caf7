"""Terminal output of published numbers: one line per source, or tables with their notes and sources below."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from effconvert.cli.display.terminal import print_table, say, say_command, say_heading

if TYPE_CHECKING:
    from effconvert.reference_tables.disagreements import Disagreement
    from effconvert.reference_tables.numbers import Number
    from effconvert.reference_tables.selection import Selection
    from effconvert.reference_tables.sources import Source

_HASH = 8  # digits of a SHA-256, as in names of files


class Notes:
    """Numbers the notes in order of use, so that a table has a number and each note is printed once below."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def mark(self, texts: Iterable[str]) -> str:
        """Return the numbers for the table, such as `1 3`."""
        numbers = (self._known.setdefault(text, len(self._known) + 1) for text in texts if text)
        return " ".join(str(number) for number in dict.fromkeys(numbers))

    def print(self) -> None:
        """Print all marked notes."""
        for text, number in self._known.items():
            say(text, begin=f"{number:>4}  ")


def print_summary(selection: "Selection") -> None:
    """Print how many numbers each source has, and how to see them."""
    from effconvert.reference_tables.selection import KINDS, kind_of

    counts = {
        source.id: [sum(number.source == source.id and kind_of(number) == kind for number in selection.numbers)
                    for kind in KINDS]
        for source in selection.sources
    }  # fmt: skip
    rows = [[source.id, *counts[source.id], source.date or "-", source.title] for source in selection.sources]
    print_table(["source", "accuracies", "costs", "of files", "date", "title"], rows, "lrrrll", below=("title",))
    say()
    say(
        f"{len(selection.numbers):,} published numbers of {len(selection.sources)} sources; sources contradict each "
        f"other {len(selection.disagreements)} times (see --disagreements)"
    )
    say("see them with --variant b0, --source timm, --quantity accuracy; --csv FILE writes all")


def print_selection(selection: "Selection") -> None:
    """Print every number, then where sources disagree, the notes, and the sources."""
    from effconvert.reference_tables.selection import ACCURACY, COST, FILES

    notes = Notes()
    _print_accuracies(selection.of(ACCURACY), notes)
    _print_costs(selection.of(COST), notes)
    _print_files(selection.of(FILES), notes)
    print_disagreements(selection.disagreements, notes)
    say_heading("Notes")
    notes.print()
    _print_sources(selection.sources)


def print_disagreements(found: Sequence["Disagreement"], notes: Notes) -> None:
    """Print numbers of the same thing that differ by more than rounding or preprocessing explains."""
    if not found:
        return
    say_heading("Where sources disagree")
    rows = [
        [
            each.variant,
            each.weights,
            each.quantity,
            each.dataset,
            each.size or None,
            "; ".join(f"{number.source} {_value(number)}" for number in (_end(each, min), _end(each, max))),
            notes.mark(each.reasons) or "not explained",
        ]
        for each in found
    ]
    headers = ["variant", "weights", "of", "images", "size", "lowest; highest", "note"]
    print_table(headers, rows, "llllrll", below=("lowest; highest",))


def _print_accuracies(numbers: Sequence["Number"], notes: Notes) -> None:
    """Print top-1 and top-5 of one publication side by side."""
    if not numbers:
        return
    say_heading("Accuracy in percent")
    pairs: dict[tuple[Any, ...], dict[str, Number]] = {}
    for number in sorted(numbers, key=_place):
        key = (number.variant, number.weights, number.dataset, number.precision, number.size, number.source)
        pairs.setdefault((*key, number.model), {})[number.quantity] = number
    rows = [
        [
            *key[:2],
            key[2] if key[3] == "float32" else f"{key[2]}, {key[3]}",
            key[4],
            *(_value(pair[metric]) if metric in pair else None for metric in ("top1", "top5")),
            key[5],
            next(iter(pair.values())).recipe,
            _decides(pair),
            notes.mark(number.note for number in pair.values()),
        ]
        for key, pair in pairs.items()
    ]
    headers = ["variant", "weights", "images", "size", "top-1", "top-5", "source", "recipe", "decides", "note"]
    print_table(headers, rows, "lllrrrllll", below=("images",), drop=("recipe", "decides"), drop_first=True)


def _decides(pair: Mapping[str, "Number"]) -> str:
    """Return `yes`, `no`, or the one that decides."""
    deciding = [metric for metric, number in pair.items() if number.decides]
    return "yes" if len(deciding) == len(pair) else ", ".join(deciding) or "no"


def _print_costs(numbers: Sequence["Number"], notes: Notes) -> None:
    if not numbers:
        return
    say_heading("Cost")
    rows = [
        [
            number.variant,
            number.quantity,
            number.size if number.size == number.counted_size else f"{number.size} (is of {number.counted_size})",
            _value(number),
            number.convention,
            number.source,
            "yes" if number.decides else "no",
            notes.mark([number.note]),
        ]
        for number in sorted(numbers, key=_place)
    ]
    headers = ["variant", "of", "size", "value", "counted as", "source", "decides", "note"]
    print_table(headers, rows, "llrrllll", drop=("decides",))


def _print_files(numbers: Sequence["Number"], notes: Notes) -> None:
    """Print a line, the address and the command for each file; its recipe is in reference/recipes.toml."""
    if not numbers:
        return
    from effconvert.reference_tables.weights import weights_table

    names: dict[Any, str] = {row.url: row.name for row in weights_table()}
    say_heading("Files")
    files: dict[tuple[Any, ...], dict[str, Number]] = {}
    for number in sorted(numbers, key=_place):
        key = (number.variant, number.weights, number.source, number.model, number.size)
        files.setdefault(key, {})[number.quantity] = number
    for key, file in files.items():
        first = next(iter(file.values()))
        said = {name: number.value for name, number in file.items()}
        mark = notes.mark([first.note])
        say(f"{key[0]}  {key[1]}  {first.source}  {key[4]} px  recipe {first.recipe}" + f"  [{mark}]" * bool(mark))
        say(", ".join(_file_facts(said)), begin="    ")
        if "url" in said:
            say(str(said["url"]), begin="    ")
            say_command(["effconvert", "convert", "--published", names[said["url"]]], begin="    ")


def _file_facts(said: Mapping[str, Any]) -> list[str]:
    facts = [
        f"{name} {said[name]}" for name in ("crop", "shorter side", "interpolation", "mean", "std") if name in said
    ]
    if "file bytes" in said:
        facts.append(f"{said['file bytes']:,} bytes")
    if "sha256" in said:
        facts.append(f"SHA-256 {said['sha256'][:_HASH]}…")
    return [*facts, f"MD5 {said['md5']}"] if "md5" in said else facts


def _print_sources(sources: Sequence["Source"]) -> None:
    say_heading("Sources")
    for source in sources:
        said = ", ".join(text for text in (source.revision, source.date, source.note) if text)
        say(f"{source.id}: {source.title}" + f" ({said})" * bool(said))
        if source.url:
            say(source.url, begin="    ")


def _value(number: "Number") -> str:
    """Return the value with the published number of digits."""
    if number.unit == "%":
        return f"{number.value:.{max(0, -round(math.log10(number.step)))}f}"
    return f"{number.value:,}"


def _end(disagreement: "Disagreement", which: Any) -> "Number":
    found: Number = which(disagreement.numbers, key=lambda number: float(number.value))
    return found


def _place(number: "Number") -> tuple[Any, ...]:
    """Return a sort key for a number: by variant, data and training; else the order of reading."""
    from effconvert.architecture.variants import VARIANTS

    plain = number.dataset in ("", "imagenet")
    return list(VARIANTS).index(number.variant), not plain, number.dataset, number.precision, number.weights

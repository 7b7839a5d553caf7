"""Numbers as text: the same number with the same digits and unit in every rendering of a report.

None was not finite or not known, and is written as NONE.
"""

from typing import TYPE_CHECKING, Any

from effconvert.validate.accuracy.decimals import places as places

if TYPE_CHECKING:
    from effconvert.report.contents.accuracy import Proportion

NONE = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"  # as wide as the plus sign
_UNITS = ("bytes", "kB", "MB", "GB")
FIRST_BATCH = "Images/s are without the first batch, which waits for the workers and warms up; the seconds are with it"
MODE_WORDS = {"accumulated": "end to end", "fed": "isolated"}  # the stored modes of a comparison, for people


def percent(value: float | None, images: int) -> str:
    """Return an accuracy, given in percent, with the digits that so many images give: 84.424 %, 85 %."""
    return NONE if value is None else f"{value:.{places(images)}f} %"


def decimals(value: float | None, places: int = 3) -> str:
    """Return a number without unit, for a column with the unit in its head: 84.424."""
    return NONE if value is None else f"{value:,.{places}f}".replace("-", _MINUS)


def interval(bounds: tuple[float, float], images: int) -> str:
    """Return the interval of an accuracy of so many images, bounds in percent: 84.104 to 84.739 %."""
    low, high = (f"{bound:.{places(images)}f}" for bound in bounds)
    return f"{low} to {high} %"


def proportion(measured: "Proportion") -> str:
    """Return a measured accuracy and its interval: 84.424 % (95 %: 84.104 to 84.739 %)."""
    share, bounds = percent(measured.percent, measured.images), interval(measured.interval, measured.images)
    return f"{share} (95 %: {bounds})"


def published(value: float | str | None, step: float = 0) -> str:
    """Return a published number with the digits of its source: 84.40 if `step` is 0.01."""
    if value is None or isinstance(value, str):
        return value or NONE
    places = len(f"{step:.10f}".rstrip("0").partition(".")[2])
    if step or value == int(value):
        return f"{value:,.{places}f}"
    return f"{value:,.10g}"


def signed(difference: float | None, decimals: int = 3) -> str:
    """Return a difference with its sign: +0.024; without a sign if it rounds to 0."""
    if difference is None:
        return NONE
    text = f"{difference:+,.{decimals}f}"
    return text[1:] if float(text.replace(",", "")) == 0 else text.replace("-", _MINUS)


def count(number: int | None) -> str:
    """Return a count: 5,288,548."""
    return NONE if number is None else f"{number:,}".replace("-", _MINUS)


def error(value: float | None) -> str:
    """Return an error or a tolerance: 1.2e-6, 0.031, 1.2."""
    if value is None:
        return NONE
    if 0.01 <= abs(value) < 100:
        return f"{value:.2g}"
    digits, _, exponent = f"{value:.1e}".partition("e")
    return "0" if value == 0 else f"{digits}e{int(exponent)}"


def giga(operations: float | None) -> str:
    """Return a number of operations: 0.386 G."""
    return NONE if operations is None else f"{operations / 1e9:,.3f} G"


def billions(operations: float | None) -> str:
    """Return a number of operations for a column in G: 0.386."""
    return NONE if operations is None else decimals(operations / 1e9)


def seconds(duration: float | None) -> str:
    """Return a duration with three digits, or in whole seconds from a minute on: 0.0215 s, 12.3 s, 2 min 5 s."""
    if duration is None:
        return NONE
    if duration < 59.95:
        return f"{float(f'{duration:.3g}'):g} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes:,} min {rest} s"


def rate(per_second: float | None) -> str:
    """Return images per second: 1,234 or 12.3."""
    return NONE if per_second is None else f"{per_second:,.1f}" if per_second < 100 else f"{per_second:,.0f}"


def processes_words(workers: int | None, ranks: int | None) -> str:
    """Return the processes of a run: 8 workers, 2 processes. workers: of each of the `ranks` processes."""
    ranks = ranks or 1
    every = None if workers is None else workers * ranks
    parts = ["" if every is None else f"{count(every)} worker{'' if every == 1 else 's'}"]
    parts += [f"{count(ranks)} processes"] if ranks > 1 else []
    return ", ".join(filter(None, parts))


def size(nbytes: float | None) -> str:
    """Return a file size: 21.3 MB."""
    if nbytes is None:
        return NONE
    for unit in _UNITS:
        if nbytes < 1000 or unit == _UNITS[-1]:
            break
        nbytes /= 1000
    return f"{nbytes:,.0f} {unit}" if unit == "bytes" else f"{nbytes:,.1f} {unit}"


def plain(value: Any) -> str:
    """Return any value of a table with unknown columns: 0.000123457, 5,288,548, yes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,.6g}" if isinstance(value, float) else count(value)
    return NONE if value is None else str(value)

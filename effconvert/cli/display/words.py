"""Facts, recipes and options of a conversion in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from effconvert.architecture.facts import complete
from effconvert.preprocessing.recipes import Recipe


def counted(number: int, noun: str = "tensor") -> str:
    """Return a number of things in words; the last word of `noun` is in the plural if there are several or none."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def facts_text(facts: Mapping[str, Any], assumed: Sequence[str] = ()) -> str:
    """Return facts in one line; those in `assumed` are marked."""
    return complete(facts).in_words(assumed)


def recipe_text(recipe: Mapping[str, Any]) -> str:
    """Return a recipe in one line."""
    numbers = f"mean {_numbers(recipe['mean'])}, std {_numbers(recipe['std'])}"
    if recipe["channels"] in ("rgb", "bgr"):
        return f"{recipe['name']}: {recipe['size']} px, {recipe['resize']}, {numbers}"
    if recipe["channels"] == "gray":
        return f"{recipe['name']}: {recipe['size']} px, {recipe['resize']}, gray, {numbers}"
    known = Recipe.from_dict(recipe).is_normalised
    count = len(recipe["mean"])
    channels = "one unknown channel" if count == 1 else f"{count} unknown channels"
    return f"{recipe['size']} px, {channels}" + (f", {numbers}" if known else "")


def _numbers(values: Sequence[float]) -> str:
    """Return the values for the channels; one if all are the same."""
    texts = list(dict.fromkeys(f"{value:g}" for value in values))
    return texts[0] if len(texts) == 1 else " ".join(f"{value:g}" for value in values)


def options_pairs(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the options of a conversion to show, also those of the conversions before it, in words.

    Those that its warnings mention are left out.
    """
    latest = {name: value for name, value in options.items() if name != "earlier"}
    pairs = [("options", text) for text in [", ".join(_option_words(latest))] if text]
    for number, before in enumerate(options.get("earlier", ())):
        when = "converted before" if number == 0 else "and before that"
        if text := ", ".join(_option_words(before)):
            pairs.append(("options" if not pairs else "", f"{when}: {text}"))
    return pairs


def _option_words(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield each option as it is given on the command line, or in words."""
    for name, value in options.items():
        match name:
            case "assumed_head" | "assumed_recipe":  # the warnings say it
                continue
            case "assumed":
                yield f"assumed {' and '.join(value)}"
            case "facts":
                yield from (f"--facts {fact}={one}" for fact, one in value.items())
            case "fold_eps":
                yield f"--fold-eps (bn_eps {value['from']:g} became {value['to']:g})"
            case "inexact":
                yield f"--allow-inexact (logits differ by {value['difference']:.2g} of the largest)"
            case "leave":
                yield from (f"--leave {pattern}" for pattern in value)
            case _:
                option = f"--{name.replace('_', '-')}"
                yield option if value is True else f"{option} {value}"


def source_pairs(source: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the files of a source with their hashes, then those of the conversions before it."""
    pairs: list[tuple[str, str]] = []
    for when, files in [("", source), *(("before: ", before) for before in source.get("earlier", ()))]:
        for name, value in files.items():
            if name == "earlier":
                continue
            held = value if isinstance(value, Mapping) else {name: value}
            pairs += [(("" if pairs else "source"), f"{when}{one} {said}") for one, said in held.items()]
    return pairs

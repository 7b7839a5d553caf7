"""Terminal output of a comparison of predictions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from effconvert.cli.display.accuracies import percent, points
from effconvert.cli.display.terminal import BAD, GOOD, print_pairs, print_table, say
from effconvert.errors import some

if TYPE_CHECKING:
    from effconvert.validate.accuracy.prediction_comparison import Changed, Largest, Paired, PredictionComparison
    from effconvert.validate.predictions import Predictions

_SHOWN = 10
_ACCURACY_COLUMNS = ("of", "A %", "B %", "points", "95 %", "only A", "only B", "McNemar p")
_CHANGED_COLUMNS = ("image", "label", "A", "B", "margin A", "margin B")


def print_prediction_comparison(a: "Predictions", b: "Predictions", found: "PredictionComparison") -> None:
    """Print both sides, the accuracies in pairs, the images with another top-1, and the verdict."""
    say(found.sentence, BAD if found.changed else GOOD)
    say()
    print_pairs(
        [
            ("A", _side(a)),
            ("B", _side(b)),
            ("images", f"{found.images:,} in both, {found.only_a:,} only in A, {found.only_b:,} only in B"),
            *([("labels", _other_labels(found.other_labels))] if found.other_labels else []),
            *([("warning", found.doubt)] if found.doubt else []),
            ("agreement", f"{found.same.hits:,} of {found.same.images:,}, {percent(found.same)} %"),
            ("largest |Δ|", f"label's logit {_number(found.label_logit)}, margin {_number(found.margin)}"),
        ]
    )
    if found.paired:
        say()
        rows = [_accuracy_cells(f"top-{count}", paired) for count, paired in found.paired.items()]
        print_table(_ACCURACY_COLUMNS, rows, "lrrrrrrr", drop=("only A", "only B"))
    if found.changed:
        say()
        names = _class_names(a)
        rows = [_changed_cells(image, names) for image in found.changed[:_SHOWN]]
        print_table(_CHANGED_COLUMNS, rows, "llllrr", below=("label", "A", "B"), drop=("margin B", "margin A"))
    if len(found.changed) > _SHOWN:
        say(f"… and {len(found.changed) - _SHOWN:,} more images (--json has all)")


def _side(side: "Predictions") -> str:
    model, recipe = side.record["model"], side.record["recipe"]
    weights = f" {model['weights']}" if model.get("weights") else ""
    partly = "" if side.record["complete"] else ", not complete"
    assumed = f", {' and '.join(model['assumed'])} assumed" if model.get("assumed") else ""
    images = f"{len(side):,} images{partly}{assumed}"
    return f"{model.get('file')}: {model.get('variant')}{weights}, {recipe.get('name')} {recipe.get('size')}, {images}"


def _other_labels(names: Sequence[str]) -> str:
    return f"differ of {len(names):,} images ({some(names, 3)}); both are judged by A's"


def _number(largest: "Largest") -> str:
    return "-" if largest.value is None else f"{largest.value:.3g} ({largest.name})"


def _accuracy_cells(name: str, paired: "Paired") -> list[str]:
    low, high = (points(bound, paired.a.images) for bound in paired.interval)
    return [
        name,
        percent(paired.a),
        percent(paired.b),
        points(paired.difference, paired.a.images),
        f"{low} to {high}",
        f"{paired.only_a:,}",
        f"{paired.only_b:,}",
        f"{paired.p:.3g}",
    ]


def _class_names(side: "Predictions") -> Sequence[str]:
    from effconvert.validate.accuracy.summary import class_list

    return class_list(side).names


def _changed_cells(image: "Changed", names: Sequence[str]) -> list[str]:
    def words(index: int) -> str:
        return f"{index} {names[index]}" if 0 <= index < len(names) else "background" if index == -1 else str(index)

    labels = ", ".join(map(words, image.labels))
    return [image.name, labels, words(image.a), words(image.b), f"{image.margin_a:.3g}", f"{image.margin_b:.3g}"]

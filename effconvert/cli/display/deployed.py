"""Terminal output of deployed files, ONNX and TensorFlow Lite: what each wants, and whether it is the network."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from effconvert.cli.display.terminal import BAD, GOOD, print_pairs, print_table, say
from effconvert.cli.display.verdicts import measured, print_comparisons, print_headline

if TYPE_CHECKING:
    from effconvert.deployed.files import DeployedFile
    from effconvert.deployed.graph import Quantization
    from effconvert.verification.deployed_answers import Answers
    from effconvert.verification.deployed_procedure import DeployedVerification

_QUANTISED = "the file is quantised, so its numbers are not judged"
_TAKES = {"normalised": "normalised images", "0-1": "pixels divided by 255", "0-255": "pixels from 0 to 255"}


def print_deployed(found: "DeployedVerification", layers: bool) -> None:
    """Print the verdict, its cause if one was looked for, what ran on what, and the layers where they matter."""
    if found.answers is None or found.word == found.verdict.word:
        print_headline(found.verdict)
    else:
        _print_answers(found.answers)
    if found.trials:
        _print_cause(found)
    say()
    print_pairs(list(_pairs(found)))
    if found.answers is not None and layers:
        say()
        rows = [(name, f"{value:.4f}") for name, value in found.answers.layers.items()]
        print_table(("layer", "correlation with the float network"), rows, "lr")
    elif found.answers is None and (layers or not found.same):
        print_comparisons(found.reference["framework"], found.verdict, layers)


def file_pairs(file: "DeployedFile") -> Iterator[tuple[str, str]]:
    """Yield what a deployed file says of itself, for `inspect`."""
    needs = file.needs
    versions = f", opset {file.graph.versions['']}" if "" in file.graph.versions else ""
    if file.graph.producer:
        yield "", f"written by {file.graph.producer}{versions}"
    yield "network", _network(file)
    yield "input", f"{needs.input}: {needs.dtype} {_shape(file)}, {needs.layout}{_meaning(needs.quantization)}"
    yield "takes", _taken(file)
    yield "output", f"{needs.output}: {needs.output_dtype}, {_answer(file)}{_meaning(needs.output_quantization)}"
    yield "graph", "; ".join(_shown(file))
    if file.padding.fixed and needs.height is None:
        yield "warning", "takes images of any size, but its padding is that of one size; at others it answers wrongly"
    if needs.before:
        yield "warning", f"does {', '.join(needs.before)} before its first convolution, which is not understood"


def _shown(file: "DeployedFile") -> Iterator[str]:
    """Yield what the graph shows of the network's facts and weights."""
    facts = {"padding": file.padding.word, "activation": file.activation}
    if words := [f"{name} {value}" for name, value in facts.items() if value is not None]:
        yield ", ".join(words)
    if not any(node.kind == "BatchNormalization" for node in file.graph.nodes):
        yield "no epsilon, as BatchNorm is folded into the kernels"
    yield f"kernels of {file.weights}{', quantised' if file.is_quantised else ''}"


def _network(file: "DeployedFile") -> str:
    if file.variants:
        blocks = sum(name.startswith("blocks.") for name in file.layers.outputs)
        return f"{' or '.join(file.variants)}, by its convolutions: stem, {blocks} blocks and head"
    if file.layers.outputs:
        return f"like EfficientNet, {len(file.layers.outputs)} layers, but the convolutions of no variant"
    return "its layers were not found in its graph"


def _shape(file: "DeployedFile") -> str:
    needs = file.needs
    axes = {"N": needs.batch, "C": needs.channels, "H": needs.height, "W": needs.width}
    return f"[{', '.join(str(axes[axis] or axis) for axis in needs.layout)}]"


def _taken(file: "DeployedFile") -> str:
    found = file.needs.normalization
    if found is None:
        return "normalised images: its graph does not normalise"
    mean, std = (", ".join(f"{value:.6g}" for value in values) for values in (found.mean, found.std))
    return f"images that it normalises itself, with mean {mean} and std {std}"


def _answer(file: "DeployedFile") -> str:
    classes = f"{file.needs.classes:,} classes" if file.needs.classes else "classes"
    return f"{classes}, {file.needs.ends or 'logits'}"


def _meaning(found: "Quantization | None") -> str:
    return "" if found is None else f", where real = (stored - {found.zero_point}) x {found.scale:g}"


def _print_answers(answers: "Answers") -> None:
    from effconvert.option_words import option
    from effconvert.verification.deployed_answers import FEWEST_IMAGES, OTHER_ANSWERS, SAME_ANSWERS

    share = f"{answers.agree:,} of {answers.images:,} images"
    if answers.word == SAME_ANSWERS:
        say(f"SAME ANSWERS on {share}; {_QUANTISED}", GOOD, begin="✓ ")
    elif answers.word == OTHER_ANSWERS:
        say(f"OTHER ANSWERS: the same class on {share} only; {_QUANTISED}", BAD, begin="✗ ")
    else:
        needed = f"give {FEWEST_IMAGES} photographs or more, with {option('images', 'FOLDER')}"
        say(
            f"NOT VERIFIABLE: a quantised file is judged by its answers, and these are of few images; {needed}",
            begin="? ",
        )


def _print_cause(found: "DeployedVerification") -> None:
    from effconvert.verification.trials import cause_and_fix

    cause, fix = cause_and_fix(found.trials)
    print_pairs([("Cause:", cause), *([("Fix:", fix)] if fix else [])])


def _pairs(found: "DeployedVerification") -> Iterator[tuple[str, str]]:
    reference, words = found.reference, found.inputs.words
    yield "source", f"{found.source.path}, run by {reference['framework']}"
    yield "file", f"{found.file.path}, run by {found.runtime}"
    yield from ((name, text) for name, text in file_pairs(found.file) if name not in ("", "warning"))
    yield "given", _TAKES[found.way.range] + (", blue first" if found.way.bgr else "")
    kind = f"synthetic images (seed {words['seed']})" if words["kind"] == "synthetic" else f"of {words['of']:,} images"
    yield "images", f"{words['count']} {kind}, {words['size']} px; sensitivity {found.verdict.sensitivity:.2f}"
    if found.answers is None:
        yield "measured", measured(found.verdict)
    else:
        yield from _measured_answers(found.answers)
    yield from (("warning", caution) for caution in found.cautions)


def _measured_answers(answers: "Answers") -> Iterator[tuple[str, str]]:
    yield "logits", f"correlation {answers.correlation:.4f}; differ by {answers.difference:.1e} of the largest"
    if answers.margins:
        yield "margins", f"where answers differ, the float network's two classes are {_range(answers.margins)} apart"


def _range(margins: Sequence[float]) -> str:
    low, high = 100 * min(margins), 100 * max(margins)
    return f"{low:.1f} %" if len(margins) == 1 else f"{low:.1f} to {high:.1f} % of the largest logit"

"""The facts of a network: assumptions of its weights, such as epsilon and padding, that few checkpoints record."""

import dataclasses
from collections.abc import Collection, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from effconvert.errors import LayoutMismatch, UnknownName, known_names

OUTSIDE = "outside"  # pixels are normalised before the network
# The facts that have one of some known values.
CHOICES = {
    "padding": ("tf-same", "symmetric"),
    "activation": ("silu", "relu", "relu6", "hswish"),
    "fused_stride": ("project", "expand"),
    "normalization": (OUTSIDE, "keras", "keras-imagenet"),
}
# Left out of a line of facts.
_UNREMARKABLE = (("head_conv", True), ("normalization", OUTSIDE), ("in_channels", 3))
# Files that were made before these facts existed lack them. Then these were the only values.
_YOUNGER = ("normalization", "in_channels")
_KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a word"}
MOST_CHANNELS = 1024  # hyperspectral cameras have up to about 400


@dataclass(frozen=True)
class Facts:
    """The assumptions of one network.

    bn_eps: the epsilon that every BatchNorm adds to its variance.
    padding: `tf-same` pads (0, 1) where a stride meets an even size, as TensorFlow does; `symmetric` pads (k-1)//2.
    activation: the one of every layer except the gates.
    fused_stride: which convolution of a strided EdgeTPU block has the stride: the 1x1 projection (all published
        TensorFlow weights) or the 3x3 expansion (tensorflow/tpu since 2020-12-27, timm).
    classes: number of outputs of the classifier; 0 for a network without a classifier.
    head_conv: False for a detection backbone, which ends after the last block.
    normalization: where pixels are normalised: outside the network, or by Keras's layers in it. `keras-imagenet` is
        the graph of Keras's published weights, which hold std in place of the variance and divide once more. The
        canonical network takes normalised images in both cases; the recipe has the numbers.
    in_channels: number of channels of the images; 3 is red, green and blue.
    """

    bn_eps: float = 1e-3
    padding: str = "tf-same"
    activation: str = "silu"
    fused_stride: str = "project"
    classes: int = 1000
    head_conv: bool = True
    normalization: str = OUTSIDE
    in_channels: int = 3

    def __post_init__(self) -> None:
        problems = [
            f"{name}={getattr(self, name)}: {known_names(str(getattr(self, name)), choices, 'must be one of')}"
            for name, choices in CHOICES.items()
            if getattr(self, name) not in choices
        ]
        if not 0 < self.bn_eps < 1:
            problems.append(f"bn_eps={self.bn_eps!r}: must lie between 0 and 1")
        if self.classes < 0:
            problems.append(f"classes={self.classes}: must be 0 or more")
        if self.classes and not self.head_conv:
            problems.append(f"head_conv=False with classes={self.classes}: a classifier needs the head's convolution")
        if not 1 <= self.in_channels <= MOST_CHANNELS:
            problems.append(f"in_channels={self.in_channels}: must be 1 to {MOST_CHANNELS:,}")
        if self.in_channels != 3 and self.normalization == "keras-imagenet":
            problems.append(f"in_channels={self.in_channels}: normalization=keras-imagenet needs 3 channels")
        if problems:
            raise LayoutMismatch("facts: " + "; ".join(problems))

    def in_words(self, assumed: Container[str] = ()) -> str:
        """Return the facts in one line; those in `assumed` are marked."""
        return ", ".join(
            f"{name} {value}{' (assumed)' if name in assumed else ''}"
            for name, value in self.to_dict().items()
            if (name, value) not in _UNREMARKABLE or name in assumed
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as plain values, for JSON."""
        return dataclasses.asdict(self)


def only_assumed(names: Collection[str], whose: str = "") -> str:
    """Return a phrase that names assumed facts: `bn_eps and padding of x.pth are only assumed`."""
    facts = f"{' and '.join(sorted(names))}{f' of {whose}' if whose else ''}"
    return f"{facts} {'is' if len(names) == 1 else 'are'} only assumed"


def complete(values: Mapping[str, Any]) -> Facts:
    """Return the facts in `values`. Only facts that older files lack may be missing. Raises LayoutMismatch."""
    names = [field.name for field in dataclasses.fields(Facts) if field.name not in _YOUNGER]
    missing = [name for name in names if name not in values]
    if missing:
        raise LayoutMismatch(f"facts: {', '.join(missing)} missing")
    return of_file(Facts(), values)


def of_file(facts: Facts, values: Mapping[str, Any]) -> Facts:
    """Return `facts` changed by the values that a file has. Raises LayoutMismatch, as nobody typed them."""
    try:
        return changed(facts, values)
    except UnknownName as error:
        raise LayoutMismatch(str(error)) from error


def changed(facts: Facts, changes: Mapping[str, Any]) -> Facts:
    """Return a copy of `facts` with `changes`: name to value, or to a string that is parsed.

    Raises UnknownName for an unknown fact or an impossible value.
    """
    known = [field.name for field in dataclasses.fields(Facts)]
    unknown = sorted(set(changes) - set(known))
    if unknown:
        raise UnknownName(f"facts: {', '.join(unknown)} unknown; {known_names(unknown[0], known)}")
    values = {name: _parsed(name, value) for name, value in changes.items()}
    try:
        return dataclasses.replace(facts, **values)
    except LayoutMismatch as error:
        raise UnknownName(str(error)) from error


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """Return `name=value` strings as a dict. Raises UnknownName for a string without `=`."""
    pairs = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            known = dataclasses.asdict(Facts())
            fact = name if name in known else "bn_eps"
            raise UnknownName(f"facts: {assignment}: must read NAME=VALUE, e.g. {fact}={known[fact]}")
        pairs[name.strip()] = value.strip()
    return pairs


def _parsed(name: str, value: Any) -> Any:
    kind = type(getattr(Facts(), name))
    if kind is bool and isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    wrong = UnknownName(f"facts: {name}={value}: must be {_KINDS[kind]}, e.g. {getattr(Facts(), name)}")
    if isinstance(value, bool) is not (kind is bool):
        raise wrong
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise wrong from error

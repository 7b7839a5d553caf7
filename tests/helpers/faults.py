"""A hundred faults of thirteen kinds, as converters make them, seeded into weights that were right."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from effconvert.architecture.variants import VARIANTS, blocks

Tensors = dict[str, np.ndarray]
B0, EDGETPU = "b0", "edgetpu-s"
NETWORKS = 7  # of each variant, with other weights and other images
_HEAD = ("head.fc.weight", "head.fc.bias")


@dataclass(frozen=True)
class Fault:
    """One fault.

    network: the number of the network that it is seeded into. first: the first layer that is wrong. cause: what
    explains it, "" where none of the known causes does. change: makes wrong tensors of the right ones; facts: what the
    wrong file says; raw: it holds the raw weights.
    """

    kind: str
    words: str
    variant: str
    network: int
    first: str
    cause: str = ""
    change: Callable[[Tensors], Tensors] = field(default=lambda tensors: tensors, repr=False)
    facts: dict[str, object] = field(default_factory=dict)
    raw: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.words} ({self.variant} {self.network})"


def some_of_each(chosen: list[Fault], count: int) -> list[Fault]:
    """Return the first `count` faults of each kind among `chosen`."""
    return [
        fault
        for number, fault in enumerate(chosen)
        if sum(other.kind == fault.kind for other in chosen[:number]) < count
    ]


def faults() -> list[Fault]:
    """Return the hundred faults."""
    return [
        *_of_facts(),
        *_of_the_whole(),
        *_backgrounds(),
        *_transposed(),
        *_swapped_statistics(),
        *_swapped_blocks(),
        *_permuted(),
        *_scaled(),
    ]


def _of_facts() -> Iterator[Fault]:
    for number, eps in enumerate((1e-6, 1e-5, 1e-4, 5e-4, 2e-3, 5e-3, 1e-2, 2e-5)):
        yield Fault("bn_eps", str(eps), B0, number % NETWORKS, "stem", "bn_eps", facts={"bn_eps": eps})
    for number in range(NETWORKS):
        yield Fault("padding", "symmetric", B0, number, "stem", "padding", facts={"padding": "symmetric"})
        yield Fault(
            "fused_stride", "expand", EDGETPU, number, _first_strided_fused(), "fused_stride",
            facts={"fused_stride": "expand"},
        )  # fmt: skip
    for number, name in enumerate(("relu", "relu6", "hswish") * 3):
        if number < 8:
            network = number % NETWORKS
            yield Fault("activation", name, B0, network, "stem", "activation", facts={"activation": name})


def _of_the_whole() -> Iterator[Fault]:
    for number in range(NETWORKS):
        yield Fault("raw", "raw weights", B0, number, "stem", "weights", raw=True)
        yield Fault(
            "channels", "BGR", B0, number, "stem", "channels", _changed("stem.conv.weight", lambda k: k[:, ::-1])
        )


def _backgrounds() -> Iterator[Fault]:
    def dropped(tensors: Tensors) -> Tensors:
        return tensors | {name: tensors[name][:-1] for name in _HEAD}

    def rolled(by: int) -> Callable[[Tensors], Tensors]:
        return lambda tensors: tensors | {name: np.roll(tensors[name], by, 0) for name in _HEAD}

    for number in range(8):
        words, change = (("last dropped", dropped), ("rolled up", rolled(1)), ("rolled down", rolled(-1)))[number % 3]
        yield Fault("background", words, EDGETPU, number % NETWORKS, "logits", "background", change)


def _transposed() -> Iterator[Fault]:
    def kernels(scopes: tuple[str, ...]) -> Callable[[Tensors], Tensors]:
        return lambda tensors: (
            tensors
            | {
                name: tensor.swapaxes(-1, -2)
                for name, tensor in tensors.items()
                if tensor.ndim == 4 and tensor.shape[-1] > 1 and name.startswith(scopes)
            }
        )

    places = ("stem", "blocks.0", "blocks.2", "blocks.5", "blocks.9", "blocks.15")
    for number, place in enumerate(places):
        yield Fault("transposed", place, B0, number, place, "transposed_kernels", kernels((f"{place}.",)))
    yield Fault("transposed", "every kernel", B0, 6, "stem", "transposed_kernels", kernels(("",)))
    yield Fault(
        "transposed", "two blocks", B0, 0, "blocks.3", "transposed_kernels", kernels(("blocks.3.", "blocks.11."))
    )


def _swapped_statistics() -> Iterator[Fault]:
    def swapped(scopes: tuple[str, ...]) -> Callable[[Tensors], Tensors]:
        def change(tensors: Tensors) -> Tensors:
            wrong = dict(tensors)
            for name in tensors:
                if name.endswith(".bn.weight") and name.startswith(scopes):
                    other = name.replace(".weight", ".running_var")
                    wrong[name], wrong[other] = tensors[other], tensors[name]
            return wrong

        return change

    places = ("stem.", "blocks.0.depthwise.", "blocks.4.expand.", "blocks.8.project.", "blocks.14.", "head.")
    for number, place in enumerate(places):
        first = ".".join(place.split(".")[: 2 if place.startswith("blocks") else 1])
        yield Fault("statistics", place, B0, number, first, "swapped_statistics", swapped((place,)))
    yield Fault("statistics", "every one", B0, 6, "stem", "swapped_statistics", swapped(("",)))
    yield Fault(
        "statistics", "two blocks", B0, 1, "blocks.6", "swapped_statistics", swapped(("blocks.6.", "blocks.7."))
    )


def _swapped_blocks() -> Iterator[Fault]:
    def swapped(one: int, other: int) -> Callable[[Tensors], Tensors]:
        def renamed(name: str) -> str:
            start, _, rest = name.partition(".")
            index, _, tensor = rest.partition(".")
            places = {str(one): str(other), str(other): str(one)}
            return f"{start}.{places.get(index, index)}.{tensor}" if start == "blocks" else name

        return lambda tensors: {name: tensors[renamed(name)] for name in tensors}

    for number, (variant, one, other) in enumerate([*_pairs(B0)[:5], *_pairs(EDGETPU)[:3]]):
        yield Fault(
            "blocks", f"{one} and {other}", variant, number % NETWORKS, f"blocks.{one}", "", swapped(one, other)
        )


def _permuted() -> Iterator[Fault]:
    def classes(one: int, other: int) -> Callable[[Tensors], Tensors]:
        def change(tensors: Tensors) -> Tensors:
            order = np.arange(len(tensors["head.fc.bias"]))
            order[[one, other]] = order[[other, one]]
            return tensors | {name: tensors[name][order] for name in _HEAD}

        return change

    for number, (one, other) in enumerate([(0, 1), (3, 999), (17, 500), (281, 282), (998, 999), (1, 640), (250, 251)]):
        yield Fault("classes", f"{one} and {other}", B0, number, "logits", "", classes(one, other))

    def flipped(kernel: np.ndarray) -> np.ndarray:
        kernel = kernel.copy()
        kernel[5] = kernel[5, :, ::-1]
        return kernel

    def exchanged(kernel: np.ndarray) -> np.ndarray:
        kernel = kernel.copy()
        kernel[[2, 7]] = kernel[[7, 2]]
        return kernel

    for number in range(8):
        change, index = (flipped, exchanged)[number % 2], 2 * number + 1
        name = f"blocks.{index}.depthwise.conv.weight"
        yield Fault("channel", name, B0, number % NETWORKS, f"blocks.{index}", "", _changed(name, change))


def _scaled() -> Iterator[Fault]:
    names = (
        "stem.conv.weight", "blocks.1.expand.conv.weight", "blocks.4.depthwise.conv.weight", "blocks.9.project.conv.weight",
        "blocks.12.project.bn.weight", "blocks.2.depthwise.bn.running_var", "blocks.15.expand.bn.weight",
        "head.bn.running_var", "blocks.7.se.reduce.weight",
    )  # fmt: skip
    for number, name in enumerate(names):
        parts = name.split(".")
        first = ".".join(parts[: 2 if parts[0] == "blocks" else 1])
        change = _changed(name, lambda tensor: tensor * np.float32(1.001))
        yield Fault("scaled", name, B0, number % NETWORKS, first, "", change)


def _changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: tensors | {name: np.ascontiguousarray(change(tensors[name]))}


def _first_strided_fused() -> str:
    return next(f"blocks.{block.index}" for block in blocks(VARIANTS[EDGETPU]) if block.fused and block.stride > 1)


def _pairs(variant: str) -> list[tuple[str, int, int]]:
    """Return pairs of blocks of one stage that have the same shapes."""
    table = [block for block in blocks(VARIANTS[variant]) if block.repeat > 0]
    return [
        (variant, one.index, other.index)
        for number, one in enumerate(table)
        for other in table[number + 1 :]
        if one.stage == other.stage
    ]

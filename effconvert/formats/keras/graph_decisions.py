"""Facts from the graph of a Keras model: epsilon, activation and padding."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from effconvert.formats.keras.graph import Call, Graph
from effconvert.formats.keras.graph_comparison import STEM, Comparison

_DEFAULT_EPS = 1e-3
_RESIZING = ("Resizing", "CenterCrop", "RandomCrop")

Size = tuple[int | None, int | None]


def graph_facts(compared: Comparison, size: Size) -> Iterator[tuple[str, Any]]:
    """Yield the facts `bn_eps`, `activation` and `padding` of a network, the last only if it is not Keras's usual.

    Adds to `compared.problems` if its layers differ. size: height and width of the input of the first convolution; None
    if the graph leaves them open.
    """
    epsilons: dict[float, list[str]] = defaultdict(list)
    for name, call in compared.found.items():
        if call.kind == "BatchNormalization":
            epsilon = call.settings.get("epsilon", _DEFAULT_EPS)
            if isinstance(epsilon, float) and 0 < epsilon < 1:
                epsilons[epsilon].append(name)
            else:
                compared.problems.append(f"{name}: epsilon {str(epsilon)[:60]} is not a number between 0 and 1")
    compared.problems += [*_differences("epsilon", epsilons), *_differences("activation", compared.activations)]
    yield from (("bn_eps", value) for value in epsilons)
    yield from (("activation", value) for value in compared.activations)
    if compared.problems:
        return  # the kernels are then wrong
    usual, symmetric = [], []
    for call, sizes in zip(compared.strided, _sizes(size, len(compared.strided)), strict=True):
        kernel, pads = call.settings["kernel_size"], call.settings["pads"]
        wanted = tuple(_same(side, length) for side, length in zip(kernel, sizes, strict=True))
        if pads not in ("same", wanted):
            usual.append(f"{call.name}: padding {str(pads)[:60]}, expected {wanted}")
        if (wanted if pads == "same" else pads) != tuple((side // 2, side // 2) for side in kernel):
            symmetric.append(call.name)
    if usual and symmetric:
        compared.problems += usual
    elif usual:
        yield "padding", "symmetric"


def odd_pictures(size: Size, strided: int) -> bool:
    """Return whether the input of one of the first `strided` strided layers has an odd height or width."""
    return any(length is not None and length % 2 for sizes in _sizes(size, strided) for length in sizes)


def picture_size(graph: Graph, scope: str) -> Size:
    """Return height and width of the stem's input, as told by the model's input or a layer that resizes."""
    reached = [call for call in graph.calls if call.name == STEM and call.scope.startswith(scope)][:1]
    for call in reached:
        for told in _told_size(call):
            if None not in told:
                return told
        reached += [before for before in call.inputs if before not in reached]
    return None, None


def _told_size(call: Call) -> Iterator[Size]:
    settings = call.settings
    shape: Any = settings.get("batch_shape") or settings.get("batch_input_shape")
    if call.kind in _RESIZING:
        shape = [None, settings.get("height"), settings.get("width"), None]
    if isinstance(shape, list) and len(shape) == 4:
        first = settings.get("data_format") == "channels_first"
        height, width = (size if isinstance(size, int) else None for size in shape[2 if first else 1 :][:2])
        yield height, width


def halved(size: Size, strided: int) -> Size:
    """Return `size` after `strided` layers of stride 2."""
    for _ in range(strided):
        height, width = (None if length is None else (length + 1) // 2 for length in size)
        size = height, width
    return size


def _sizes(size: Size, count: int) -> list[Size]:
    """Return the size before each of `count` layers of stride 2."""
    return [halved(size, strided) for strided in range(count)]


def _same(kernel: int, size: int | None) -> tuple[int, int]:
    """Return TensorFlow's padding before and after for stride 2; an open size counts as even, as in Keras."""
    return kernel // 2 - (1 - (size or 0) % 2), kernel // 2


def _differences(what: str, found: Mapping[Any, list[str]]) -> list[str]:
    """Return a line for each value if there are several."""
    if len(found) < 2:
        return []
    return [f"{what} {value}: {len(names)} layers, the first {names[0]}" for value, names in found.items()]

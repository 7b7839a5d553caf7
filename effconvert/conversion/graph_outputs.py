"""The network of a conversion as an ONNX model: written, read back, and run before the file gets its name."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from effconvert.conversion.plan import Plan
from effconvert.conversion.transfer import Transfer
from effconvert.errors import LayoutMismatch, NumericMismatch, OutputProblem, Unavailable
from effconvert.formats.checkpoint import Array, Late
from effconvert.formats.onnx.file import GRAPH
from effconvert.formats.pieces import Pieces
from effconvert.graphs.graph_options import ONNX, GraphOptions
from effconvert.option_words import flag, option

_TOLERANCE = 2e-5  # of the largest output; measured are 5e-7 to 8e-6 for all variants
_TIMES_ROUNDING = 4  # an untrained network may multiply float32's rounding, in any implementation
_SIZES = ((96, 96), (75, 98))  # images for a graph of any size: even and odd ones


def check_graph(to: str, given: Mapping[str, Any]) -> None:
    """Check the options of a graph, before anything is read.

    Raises LayoutMismatch for those that do not fit together, or if `to` is not one; Unavailable without the package.
    """
    if to == ONNX:
        _require_package()
        if given["free_size"] and given["size"] is not None:
            raise LayoutMismatch(f"give only one of {flag('free_size')} and {option('size')}")
        if given["batch"] is not None and given["batch"] < 1:
            raise LayoutMismatch(f"{option('batch', str(given['batch']))}: must be 1 or more")
        return
    words = {
        "size": option("size"),
        "free_size": flag("free_size"),
        "batch": option("batch"),
        "fold": flag("fold"),
        "with_normalisation": flag("with_normalisation"),
        "with_softmax": flag("with_softmax"),
    }
    if unused := [words[name] for name, value in given.items() if value]:
        raise LayoutMismatch(
            f"{unused[0]} is for a graph, which {option('to', ONNX)} writes; {to} is a file of weights"
        )


def graph_options(plan: Plan, size: int | None, free_size: bool, **others: Any) -> GraphOptions:
    """Return the options of the graph of a plan; the size is the recipe's unless another is given."""
    return GraphOptions(None if free_size else size or plan.description.recipe.size, **others)


class GraphOutput:
    """The values of a graph on their way into the file.

    infos, checksums: the tensors of the file; a checksum is known once the tensor is written.
    """

    def __init__(self, plan: Plan, transfer: Transfer, graph: GraphOptions) -> None:
        """Build the graph. Raises LayoutMismatch if the network or its recipe cannot have it."""
        from effconvert.graphs.onnx_graph import network_graph

        self._plan, self._transfer, self._graph = plan, transfer, graph
        self._network = network_graph(
            plan.target.variant,
            plan.facts,
            image_size=graph.size,
            batch=graph.batch,
            fold=graph.fold,
            normalisation=_normalisation(plan) if graph.with_normalisation else None,
            softmax=graph.with_softmax,
        )
        self.infos = self._network.infos
        self.checksums: dict[str, int] = {}

    def write(self, file: Any, metadata: Mapping[str, str], late: Late) -> None:
        """Write the model. Raises OutputProblem if it is too large for one file."""
        from effconvert.graphs.onnx_writing import write_onnx

        write_onnx(file, self._network, self._pieces(), metadata, late)

    def _pieces(self) -> Iterator[Pieces]:
        names = [info.name for info in self._plan.infos]
        if not self._graph.fold:
            yield from self._transfer
            self.checksums.update(self._transfer.checksums)
            return
        from effconvert.graphs.folding import folded_in_order

        canonical = ((name, pieces.whole()) for name, pieces in zip(names, self._transfer, strict=True))
        for name, array in folded_in_order(canonical, self._plan.facts.bn_eps):
            pieces = Pieces(array)
            yield pieces
            self.checksums[name] = pieces.checksum


def graph_metadata(metadata: Mapping[str, str], graph: GraphOptions) -> dict[str, str]:
    """Return the metadata of a model: that of a file of weights, and how the graph was written."""
    import json

    return {name: text for name, text in metadata.items() if name != "format"} | {
        GRAPH: json.dumps(graph.to_dict(), sort_keys=True)
    }


def run_model(path: Path, plan: Plan, transfer: Transfer, graph: GraphOptions) -> str:
    """Run the model at `path` and the canonical network on synthetic images; return the result in words.

    Raises NumericMismatch if the outputs differ by more than float32's rounding explains.
    """
    try:
        import onnxruntime
    except ImportError:
        return "not run: the package onnxruntime is not installed"
    runtime = f"onnxruntime {onnxruntime.__version__}"
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # its own kinds, which it does not export
        raise OutputProblem(f"{path}: {runtime} cannot load the written model: {error}") from error
    network = _canonical_network(plan, transfer)
    sizes = _SIZES if graph.size is None else ((graph.size, graph.size),)
    worst = 0.0
    for height, width in sizes:
        images = _images(plan, graph, height, width)
        found = session.run(None, {session.get_inputs()[0].name: images})[0]
        worst = max(worst, _difference(network, plan, graph, images, found, path))
    return f"run by {runtime}: within {worst:.2g} of the largest output of the canonical network"


def _require_package() -> None:
    """Raise Unavailable if the package that builds the graph is not installed."""
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise Unavailable('writing ONNX needs the package onnx: pip install "effconvert[onnx]"') from error


def _normalisation(plan: Plan) -> tuple[tuple[float, ...], tuple[float, ...]]:
    recipe = plan.description.recipe
    if not recipe.is_normalised:
        raise LayoutMismatch(f"recipe {recipe.name}: its mean and std are not known; omit {flag('with_normalisation')}")
    return recipe.mean, recipe.std


def _canonical_network(plan: Plan, transfer: Transfer) -> Any:
    """Return the canonical network, with weights that are read from the source once more."""
    import torch

    from effconvert.model.network import EfficientNet

    again = Transfer(transfer.checkpoint, plan)
    state = {info.name: torch.from_numpy(pieces.whole()) for info, pieces in zip(plan.infos, again, strict=True)}
    with torch.device("meta"):
        network = EfficientNet(plan.target.variant, plan.facts)
    network.load_state_dict(state, assign=True)
    return network.eval()


def _images(plan: Plan, graph: GraphOptions, height: int, width: int) -> Array:
    from effconvert.preprocessing.synthetic import synthetic_images

    images = synthetic_images(graph.batch or 1, height, width, channels=plan.facts.in_channels)
    if not graph.with_normalisation:
        return images
    mean, std = (np.array(numbers, np.float32).reshape(-1, 1, 1) for numbers in _normalisation(plan))
    pixels: Array = np.clip(images * std + mean, 0, 255).round()
    return pixels


def _difference(network: Any, plan: Plan, graph: GraphOptions, images: Array, found: Array, path: Path) -> float:
    """Return the largest difference of `found`, in shares of the largest output of the canonical network."""
    import torch

    given = torch.from_numpy(images)
    if graph.with_normalisation:
        mean, std = (torch.tensor(numbers).reshape(-1, 1, 1) for numbers in _normalisation(plan))
        given = (given - mean) / std

    def computed(dtype: torch.dtype) -> Array:
        with torch.no_grad():
            outputs = network.to(dtype)(given.to(dtype))
            found: Array = (outputs.softmax(1) if graph.with_softmax else outputs).numpy()
        return found

    expected = computed(torch.float32)
    largest = float(np.abs(expected).max()) or 1.0
    difference = float(np.abs(found - expected).max()) / largest
    if difference <= _TOLERANCE:  # false for NaN
        return difference
    rounding = float(np.abs(expected - computed(torch.float64)).max()) / largest
    network.float()
    if not difference <= _TIMES_ROUNDING * rounding:
        raise NumericMismatch(
            f"{path}: the written model differs by {difference:.2g} of the largest output from the canonical network, "
            f"whose own rounding is {rounding:.2g}; it was not kept"
        )
    return difference

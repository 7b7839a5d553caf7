"""Deployed files, ONNX and TensorFlow Lite: recognised by their bytes, and what each says of its network."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from effconvert.deployed.graph import Graph
from effconvert.deployed.layers import Layers, find_layers
from effconvert.deployed.needs import Needs, needs_of, problem_of
from effconvert.deployed.network_of_graph import Padding, activation_of, padding_of, variants_of
from effconvert.deployed.onnx_files import read_onnx
from effconvert.deployed.tflite_files import is_tflite, read_tflite
from effconvert.errors import LayoutMismatch
from effconvert.formats.checkpoint import DataFile
from effconvert.formats.foreign.files import begins_onnx
from effconvert.maps.map_names import ONNX, TFLITE
from effconvert.paths import require_path
from effconvert.shown import Row, Shown

# What is said where a command runs the weights that such a file holds.
GRAPH_NOT_RUN = (
    "its weights are run in effconvert's own network, not its graph; `effconvert verify FILE --against WEIGHTS` runs "
    "the graph"
)
_QUANTISED = frozenset({"QuantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger", "DynamicQuantizeLinear"})
_HEAD = 1 << 16


@dataclass(frozen=True, repr=False)
class DeployedFile(Shown):
    """A file with a network that runs on its own.

    framework: the runner of its format. layers: without outputs if they cannot be found. padding, activation: facts
    that the graph shows; the activation is None if its convolutions differ. variants: the names of those with exactly
    its convolutions. weights: the coarsest dtype of its kernels. sha256: {name of each of its files: hash}.
    """

    path: Path
    framework: str
    graph: Graph = field(repr=False)
    needs: Needs
    layers: Layers = field(repr=False)
    padding: Padding
    activation: str | None
    variants: tuple[str, ...]
    weights: str
    sha256: dict[str, str] = field(repr=False)

    @property
    def is_quantised(self) -> bool:
        """Whether it computes with whole numbers, so that its outputs are not those of its float network."""
        return self.weights in ("int8", "uint8") or any(node.kind in _QUANTISED for node in self.graph.nodes)

    @property
    def line(self) -> str:
        """The file, its network, and what it takes, in one line."""
        network = " or ".join(self.variants) or "of no known variant"
        inside = "normalises pixels itself" if self.needs.normalization else "takes normalised images"
        return f"{self.path}: {self.graph.format}, {network}, {self.needs.layout}, {inside}"

    def to_rows(self) -> list[Row]:
        """Return a row for each layer that was found: its canonical name, and the value of the graph that it is."""
        return [{"layer": layer, "value": value} for layer, value in self.layers.outputs.items()]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, for JSON."""
        needs = self.needs
        return {
            "path": str(self.path),
            "sha256": dict(self.sha256),
            "format": self.graph.format,
            "producer": self.graph.producer,
            "versions": dict(self.graph.versions),
            "input": {
                "name": needs.input,
                "dtype": needs.dtype,
                "layout": needs.layout,
                "shape": [needs.batch, needs.channels, needs.height, needs.width],
                "quantization": _plain(needs.quantization),
                "normalization": _plain(needs.normalization),
                "not_understood": list(needs.before),
            },
            "output": {
                "name": needs.output,
                "dtype": needs.output_dtype,
                "classes": needs.classes,
                "ends": needs.ends or "logits",
                "quantization": _plain(needs.output_quantization),
            },
            "variants": list(self.variants),
            "padding": self.padding.word,
            "padding_of_one_size": self.padding.fixed,
            "activation": self.activation,
            "weights": self.weights,
            "quantised": self.is_quantised,
            "layers": self.to_rows(),
        }


def framework_of_file(path: Path) -> str | None:
    """Return the runner of the deployed file at `path`, None if it is another file, a folder, or missing."""
    if not path.is_file():
        return None
    with DataFile(path) as file:
        start = file.read(0, min(_HEAD, file.size))
    return TFLITE if is_tflite(start) else ONNX if begins_onnx(start) else None


def inspect_deployed(path: str | Path) -> DeployedFile:
    """Read the graph of the file at `path`, and learn what it says of its network.

    Raises MissingPath, UnreadableCheckpoint for a damaged file, LayoutMismatch for one that is not an image classifier.

    Example: `effconvert.inspect_deployed("b0.onnx").needs.layout`
    """
    path = require_path(path)
    framework = framework_of_file(path)
    if framework is None:
        raise LayoutMismatch(f"{path}: is neither an ONNX file nor a TensorFlow Lite file")
    graph = read_onnx(path) if framework == ONNX else read_tflite(path)
    if problem := problem_of(graph):
        raise LayoutMismatch(f"{path}: {problem}")
    layers, needs = find_layers(graph), needs_of(graph)
    hashes = {}
    for name in (path.name, *graph.external):
        with DataFile(path.parent / name) as file:
            hashes[name] = file.sha256()
    return DeployedFile(
        path=path,
        framework=framework,
        graph=graph,
        needs=needs,
        layers=layers,
        padding=padding_of(graph, layers, needs.height) if layers.outputs else Padding(None, fixed=False),
        activation=activation_of(layers),
        variants=tuple(variants_of(graph, layers)),
        weights=_coarsest(graph, layers),
        sha256=hashes,
    )


def _coarsest(graph: Graph, layers: Layers) -> str:
    kernels = (graph.constant_of(one.node.inputs[1]) for one in layers.trunk if len(one.node.inputs) > 1)
    held = {kernel.dtype for kernel in kernels if kernel is not None}
    return next((name for name in ("int8", "uint8", "bfloat16", "float16") if name in held), "float32")


def _plain(found: object) -> dict[str, Any] | None:
    return None if found is None else dict(vars(found))

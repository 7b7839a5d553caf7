"""The bytes of an ONNX model, written one tensor at a time: those that onnx itself would write.

In them the fields of a message stand in the order of their numbers: a graph's nodes and name, its tensors, its inputs
and outputs.
"""

from collections.abc import Iterable, Mapping
from typing import BinaryIO

from onnx import GraphProto, ModelProto, TensorProto

from effconvert.errors import OutputProblem
from effconvert.formats.checkpoint import Late, TensorInfo
from effconvert.formats.pieces import Pieces, contents
from effconvert.formats.protobuf import bytes_header
from effconvert.graphs.onnx_graph import NetworkGraph, wrapped

MOST_BYTES = (1 << 31) - 1  # of one message of protocol buffers
_TENSOR, _GRAPH, _RAW_DATA = 5, 7, 9  # numbers of fields in onnx.proto


def write_onnx(
    file: BinaryIO,
    network: NetworkGraph,
    arrays: Iterable[Pieces],
    metadata: Mapping[str, str],
    late: Late,
) -> None:
    """Write the model of `network` with `arrays`, float32 in the order of its parameters.

    metadata: strings in the file; `late` is asked after the last tensor, for those that replace its placeholders.
    Raises OutputProblem if the model is too large for one message.
    """
    begin, end = _ends(network)
    headers = {info.name: _header(info) for info in network.infos}
    inside = len(begin) + sum(len(headers[info.name]) + info.nbytes for info in network.infos) + len(end)
    model = wrapped(GraphProto(), metadata)
    first = _part(model, "ir_version", "producer_name", "producer_version")
    last = _part(model, "opset_import", "metadata_props")
    total = len(first) + len(bytes_header(_GRAPH, inside)) + inside + len(last)
    if total > MOST_BYTES:
        raise OutputProblem(
            f"the model would have {total:,} bytes; ONNX is one message of protocol buffers, which has at most "
            f"{MOST_BYTES:,}"
        )
    file.write(first + bytes_header(_GRAPH, inside) + begin)
    for info, pieces in contents(network.infos, arrays):
        file.write(headers[info.name])
        file.writelines(pieces)
    file.write(end)
    known = late()
    for one in model.metadata_props:
        for placeholder, text in known.items():
            one.value = one.value.replace(placeholder, text)
    file.write(_part(model, "opset_import", "metadata_props"))


def _ends(network: NetworkGraph) -> tuple[bytes, bytes]:
    """Return the graph's bytes before its tensors and behind them."""
    graph = network.graph
    begin = GraphProto(node=graph.node, name=graph.name)
    end = GraphProto(input=graph.input, output=graph.output)
    return begin.SerializeToString(deterministic=True), end.SerializeToString(deterministic=True)


def _part(model: ModelProto, *fields: str) -> bytes:
    """Return the bytes of some fields of a model."""
    part = ModelProto()
    part.CopyFrom(model)
    for field, _ in model.ListFields():
        if field.name not in fields:
            part.ClearField(field.name)
    return bytes(part.SerializeToString(deterministic=True))


def _header(info: TensorInfo) -> bytes:
    """Return the bytes of a tensor before its values."""
    described = TensorProto(dims=info.shape, data_type=TensorProto.FLOAT, name=info.name)
    start = bytes(described.SerializeToString(deterministic=True)) + bytes_header(_RAW_DATA, info.nbytes)
    return bytes_header(_TENSOR, len(start) + info.nbytes) + start

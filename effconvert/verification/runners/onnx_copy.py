"""Copies of an ONNX model with more outputs, and with inputs inside the graph, made on its bytes without a library.

Messages and field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. A protocol buffer may be followed by
another one: fields that are lists grow, and messages are merged.
"""

_GRAPH, _NODE, _GRAPH_INPUT, _GRAPH_OUTPUT = 7, 1, 11, 12
_TYPES = {"float32": 1, "float16": 10, "float64": 11}


def with_outputs(model, names):
    """Return the bytes of `model` with the values `names` as further outputs."""
    return model + _field(_GRAPH, b"".join(_field(_GRAPH_OUTPUT, _field(1, name.encode())) for name in names))


def with_inputs(model, inputs, dtypes):
    """Return the bytes of `model` where every node that reads a value reads an input instead: {value: new input}.

    dtypes: {value: its dtype in numpy}.
    """
    added = b"".join(_field(_GRAPH_INPUT, _value(name, dtypes[value])) for value, name in inputs.items())
    parts = []
    for number, start, content, end in _fields(model, 0, len(model)):
        if number == _GRAPH and content is not None:
            parts.append(_field(_GRAPH, _graph(model, content, end, inputs) + added))
        else:
            parts.append(model[start:end])
    return b"".join(parts)


def _graph(model, start, end, inputs):
    parts = []
    for number, begin, content, behind in _fields(model, start, end):
        if number == _NODE and content is not None:
            parts.append(_field(_NODE, _node(model, content, behind, inputs)))
        else:
            parts.append(model[begin:behind])
    return b"".join(parts)


def _node(model, start, end, inputs):
    parts = []
    for number, begin, content, behind in _fields(model, start, end):
        name = model[content:behind].decode("utf-8", "replace") if number == 1 and content is not None else None
        parts.append(_field(1, inputs[name].encode()) if name in inputs else model[begin:behind])
    return b"".join(parts)


def _value(name, dtype):
    """Return a ValueInfoProto: a tensor of any shape."""
    return _field(1, name.encode()) + _field(2, _field(1, _varint(1 << 3) + _varint(_TYPES[str(dtype)])))


def _fields(data, position, end):
    """Yield (number, start, start of the content, end) of each field; the second start is None for a number."""
    while position < end:
        start = position
        key, position = _read_varint(data, position)
        content = None
        if key & 7 == 0:
            _, position = _read_varint(data, position)
        elif key & 7 == 2:
            size, content = _read_varint(data, position)
            position = content + size
        else:
            position += {1: 8, 5: 4}[key & 7]
        yield key >> 3, start, content, position


def _field(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data, position):
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7

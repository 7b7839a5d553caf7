"""The closed table of global names in a pickle: those that make tensors and plain values, and well-known others.

A *tensor* row has a function or a value of this project in place of the global. An *inert* row is only a name: calling
it, or building on it, gives a placeholder. Any other name is inert too, and the user is told. Nothing is ever imported
or looked up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from effconvert.formats.torch import arrays
from effconvert.formats.torch.tensors import (
    NEW_DTYPES,
    QUANTIZED_STORAGES,
    STORAGES,
    InertName,
    PickleError,
    StorageKind,
    Tensor,
    Unread,
    made_by,
    rebuild_parameter,
    rebuild_quantized,
    rebuild_tensor,
    rebuild_tensor_v2,
    rebuild_tensor_v3,
)


@dataclass(frozen=True, slots=True)
class Maker:
    """A function of this project in place of one of torch or Python."""

    make: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Global:
    """A row of the table. mark: `tensor` or `inert`. value: the value that the machine pushes for this name."""

    mark: str
    value: Any


def _maker(make: Callable[..., Any]) -> Global:
    return Global("tensor", Maker(make))


def _unread(reason: str) -> Global:
    return _maker(lambda *_: Unread(reason))


def _ordered_dict() -> dict[Any, Any]:
    return {}


def _default_dict(_factory: Any = None) -> dict[Any, Any]:
    return {}


def _counter(counts: Any) -> dict[Any, Any]:
    if type(counts) is not dict:
        raise PickleError("has a Counter that is not made of a dict")
    return counts  # repeated copies would fill the memory


def _size(sizes: Any) -> tuple[Any, ...]:
    if type(sizes) is not tuple:
        raise PickleError("has a Size that is not made of a tuple")
    return sizes


def _rebuild_from_type(function: Any, kind: Any, arguments: Any, _state: Any) -> Tensor | Unread:
    """Return the tensor of torch._tensor._rebuild_from_type_v2, without its attributes.

    An unknown class of tensors is not read, since it may store its values in another form.
    """
    if isinstance(function, InertName):
        return made_by(function.name)
    if not isinstance(function, Maker) or function.make not in _TENSOR_MAKERS or not isinstance(arguments, tuple):
        raise PickleError("holds a tensor with attributes that is not made by one of torch's functions")
    if isinstance(kind, InertName) and kind.name not in _TENSOR_CLASSES:
        return Unread(f"a tensor of class {kind.name}, which is not known here")
    result: Tensor | Unread = function.make(*arguments)
    return result


def _tensor_of_array(array: Any, dtype: Any = None, *_: Any) -> Tensor | Unread:
    """Return the tensor that torch makes from a numpy array, if the dtype stays the same."""
    value = array.value if isinstance(array, arrays.Array) else array
    if isinstance(value, Tensor) and isinstance(dtype, InertName) and dtype.name == f"torch.{value.dtype.name}":
        return value
    return value if isinstance(value, Unread) else Unread("stored as an array of numpy of another type")


def _array(make: Callable[..., Any]) -> Global:
    return _maker(lambda *arguments: make(*arguments))


_TENSOR_MAKERS = (rebuild_tensor, rebuild_tensor_v2, rebuild_tensor_v3, rebuild_parameter)
_TENSOR_CLASSES = ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer")

# Python's own names; protocols before 3 have Python 2's.
_BUILTINS = "getattr set frozenset complex bytearray slice list dict tuple int float str bool".split()
_DTYPES = """float16 float32 float64 bfloat16 complex32 complex64 complex128 bool uint8 int8 int16 int32 int64
    qint8 quint8 qint32 quint4x2 quint2x4 bits8 bits16 bits1x8 bits2x4 bits4x2 float4_e2m1fn_x2""".split()
_SCHEMES = "per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric".split()
_PATHS = "Path PosixPath WindowsPath PurePosixPath PureWindowsPath".split()
_NUMPY = ["numpy._core", "numpy.core"]  # since numpy 2.0, and before

_TENSOR: Mapping[tuple[str, str], Global] = {
    ("torch._utils", "_rebuild_tensor"): _maker(rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _maker(rebuild_tensor_v2),
    ("torch._utils", "_rebuild_tensor_v3"): _maker(rebuild_tensor_v3),
    ("torch._utils", "_rebuild_parameter"): _maker(rebuild_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): _maker(rebuild_parameter),
    ("torch.tensor", "_rebuild_from_type"): _maker(_rebuild_from_type),  # before PyTorch 1.9
    ("torch._tensor", "_rebuild_from_type"): _maker(_rebuild_from_type),
    ("torch._tensor", "_rebuild_from_type_v2"): _maker(_rebuild_from_type),
    ("torch._utils", "_rebuild_qtensor"): _maker(rebuild_quantized),
    ("torch._utils", "_rebuild_sparse_tensor"): _unread("sparse"),
    ("torch._utils", "_rebuild_nested_tensor"): _unread("a nested tensor"),
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _unread("on the device meta, which holds no numbers"),
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): _maker(rebuild_parameter),
    ("torch._utils", "_rebuild_device_tensor_from_numpy"): _maker(_tensor_of_array),
    ("torch._utils", "_rebuild_xla_tensor"): _maker(_tensor_of_array),
    ("torch", "Size"): _maker(_size),
    ("collections", "OrderedDict"): _maker(_ordered_dict),
    ("collections", "defaultdict"): _maker(_default_dict),
    ("collections", "Counter"): _maker(_counter),
    ("torch.storage", "UntypedStorage"): Global("tensor", StorageKind(STORAGES["ByteStorage"])),
    **{("torch", name): Global("tensor", StorageKind(dtype)) for name, dtype in STORAGES.items()},
    **{("torch", name): Global("tensor", StorageKind(*kind)) for name, kind in QUANTIZED_STORAGES.items()},
    ("_codecs", "encode"): _array(arrays.encode),
    ("numpy", "dtype"): _array(arrays.make_type),
    **{(module, "bytes"): _array(arrays.make_bytes) for module in ("builtins", "__builtin__")},
    **{(f"{core}.multiarray", "_reconstruct"): _array(arrays.make_array) for core in _NUMPY},
    **{(f"{core}.multiarray", "scalar"): _array(arrays.make_number) for core in _NUMPY},
    **{(f"{core}.numeric", "_frombuffer"): _array(arrays.array_of_buffer) for core in _NUMPY},
}

_INERT: tuple[tuple[str, str], ...] = (
    ("argparse", "Namespace"),  # timm, torchvision's scripts
    ("mmengine.logging.history_buffer", "HistoryBuffer"),  # mmengine's message hub
    ("numpy", "ndarray"),
    *((module, name) for module in ("builtins", "__builtin__") for name in _BUILTINS),
    *((module, name) for module in ("pathlib", "pathlib._local") for name in _PATHS),
    *(("datetime", name) for name in ("datetime", "date", "timedelta")),
    ("torch", "device"),
    ("torch.torch_version", "TorchVersion"),
    ("torch", "Tensor"),
    ("torch.nn.parameter", "Parameter"),
    ("torch.nn.parameter", "Buffer"),
    ("torch.serialization", "_get_layout"),
    *(("torch", name) for name in (*_DTYPES, *NEW_DTYPES, *_SCHEMES, "per_channel_affine_float_qparams")),
)

# Nothing can be added to it from outside, and no option disables it.
GLOBALS: Mapping[tuple[str, str], Global] = MappingProxyType(
    {**_TENSOR, **{(module, name): Global("inert", InertName(f"{module}.{name}")) for module, name in _INERT}}
)
KNOWN_NAMES = frozenset(f"{module}.{name}" for module, name in GLOBALS if name != "getattr")

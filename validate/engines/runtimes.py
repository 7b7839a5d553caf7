"""ONNX Runtime and OpenVINO: a network on the CPU, one image for each thread.

An image alone, on one thread, takes less of a core's time than any batch on several: nothing waits for another thread,
and feature maps stay in the core's own cache. Its logits do not depend on the other images either.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from queue import SimpleQueue
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import Unavailable
from effconvert.model.network import EfficientNet
from effconvert.validate.engines.names import ONNXRUNTIME, OPENVINO

Values = NDArray[np.float32]
Run = Callable[[Values], Values]

_MOST_AT_ONCE = 16  # as many images as are prepared together; with more cores, several compute one image
_MOST_BYTES = (1 << 31) - 1  # of a protobuf message


@dataclass(frozen=True)
class Engine:
    """A network in a library other than torch. at_once: the images that are computed at the same time, by threads."""

    name: str
    version: str
    at_once: int
    run: Run = field(repr=False)
    _pool: ThreadPoolExecutor = field(repr=False)

    def logits(self, count: int, image: Callable[[int], Values]) -> Values:
        """Return float32 [count, classes] of normalised images.

        image: from a place to the image there, float32 [channels, size, size]; it is called by several threads.
        """
        return np.concatenate(list(self._pool.map(lambda place: self.run(image(place)[None]), range(count))))


def installed(name: str) -> str | None:
    """Return the version of an engine, None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def load_engine(name: str, network: EfficientNet, size: int, threads: int, at_once: int | None = None) -> Engine:
    """Return `network` for images of `size` pixels in the engine `name`, on `threads` threads in all.

    at_once: at most so many images at the same time. Raises Unavailable if the engine is not installed, or cannot run
    the network.
    """
    found = installed(name)
    if found is None:
        raise Unavailable(f"{name} is not installed: pip install 'effconvert[{name}]'")
    together = min(threads, at_once or _MOST_AT_ONCE, _MOST_AT_ONCE)
    try:
        run = _LOADERS[name](_model(network, size), threads, together)
    except Unavailable:
        raise
    except Exception as error:  # an engine raises many kinds
        raise Unavailable(f"{name} {found} cannot run this network: {_first_line(error)}") from error
    return Engine(name, found, together, run, ThreadPoolExecutor(together, thread_name_prefix=name))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _model(network: EfficientNet, size: int) -> bytes:
    """Return the network for one image as a serialised ONNX model."""
    try:
        from effconvert.graphs.onnx_graph import build_model
    except ImportError as error:
        raise Unavailable(f"the package onnx is missing ({error}): pip install onnx") from error
    tensors = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    model = build_model(network.variant, network.facts, tensors, image_size=size, batch=1, fold=True)
    if model.ByteSize() > _MOST_BYTES:
        raise Unavailable(f"the network has {model.ByteSize():,} bytes; an ONNX model in memory holds {_MOST_BYTES:,}")
    return bytes(model.SerializeToString())


def _in_onnxruntime(model: bytes, threads: int, at_once: int) -> Run:
    onnxruntime = _imported("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads - at_once + 1  # the calling threads compute too
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leaves the CPU to decoding
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: Values) -> Values:
        (logits,) = session.run(None, {name: images})
        return np.asarray(logits)

    return run


def _in_openvino(model: bytes, threads: int, at_once: int) -> Run:
    core = _imported("openvino").Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": at_once,
        "INFERENCE_PRECISION_HINT": "f32",  # else it may choose bfloat16
        "ENABLE_CPU_PINNING": False,  # decoding shares the cores
    }
    compiled = core.compile_model(core.read_model(model=model), "CPU", settings)
    idle: SimpleQueue[Any] = SimpleQueue()
    for _ in range(at_once):
        idle.put(compiled.create_infer_request())

    def run(images: Values) -> Values:
        request = idle.get()
        try:
            return np.array(request.infer({0: images})[0])  # a copy: the next image overwrites it
        finally:
            idle.put(request)

    return run


def _imported(name: str) -> ModuleType:
    from importlib import import_module

    return import_module(name)


_LOADERS: dict[str, Callable[[bytes, int, int], Run]] = {ONNXRUNTIME: _in_onnxruntime, OPENVINO: _in_openvino}

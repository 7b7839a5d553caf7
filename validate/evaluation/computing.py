"""Choice of device and dtype, and of the number of images at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from effconvert.architecture.variants import Variant, blocks, stem_channels
from effconvert.errors import Unavailable
from effconvert.option_words import option
from effconvert.version import VERSION

AUTO = "auto"
# Pixels at once on a CPU, 16 images of B0: the caches hold little more.
_CPU_PIXELS = 16 * 224**2
_MOST_AT_ONCE = 512
_SHARE = 0.5  # of a GPU's free memory for feature maps
_MOST_VALUES = (1 << 31) - 1
_MOST_BYTES = 256 << 20  # of pixels, which are also in the CPU's memory


@dataclass(frozen=True)
class Computing:
    """device: torch's name, as `cuda:0`. dtype: of weights and feature maps. compiled: by torch.compile.

    The classifier is always computed in float32: bfloat16 has too few digits to separate the largest logits.
    """

    device: str
    dtype: str
    compiled: bool = False

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.startswith("cuda")

    def record(self) -> dict[str, Any]:
        """Return the device, the dtype and the versions as plain values."""
        name = torch.cuda.get_device_name(self.device) if self.on_gpu else "cpu"
        return {
            "device": self.device.partition(":")[0],
            "device_name": name,
            "dtype": self.dtype,
            "tf32": False,
            "compiled": self.compiled,
            "versions": {"effconvert": VERSION, "torch": torch.__version__, **_versions()},
        }


def _versions() -> dict[str, str]:
    """Return the versions of the packages that prepare images, since another version may round differently."""
    found = {}
    for package in ("numpy", "pillow", "simplejpeg", "opencv-python-headless", "opencv-python"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def choose_computing(device: str | None, dtype: str, compiled: bool = False, local_rank: int = 0) -> Computing:
    """Return device and dtype: with `device` None a GPU if there is one, with `dtype` auto bfloat16 on a GPU.

    A CPU, or a GPU without bfloat16, gets float32. Raises Unavailable for a missing device.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        if not torch.cuda.is_available():
            raise Unavailable(
                f"{option('device', 'cuda')}: torch {torch.__version__} finds no GPU here; omit it to use the CPU"
            )
        device = f"cuda:{local_rank % torch.cuda.device_count()}"
    if dtype == AUTO:
        dtype = "float32"
        if device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False):
            dtype = "bfloat16"
    return Computing(device, dtype, compiled)


def images_at_once(variant: Variant, size: int, computing: Computing, networks: int = 1) -> int:
    """Return how many images of `size` pixels each of `networks` computes at once, by CPU caches or GPU memory.

    On a GPU it is a power of two. Feature maps stay below 2**31 values; above, kernels are slower or missing.
    """
    if not computing.on_gpu:
        return max(1, _CPU_PIXELS // size**2)
    free, _ = torch.cuda.mem_get_info(computing.device)
    maps = _largest_maps(variant, size)
    by_memory = int(free * _SHARE) // (networks * maps * getattr(torch, computing.dtype).itemsize)
    fitting = min(_MOST_AT_ONCE, by_memory, _MOST_VALUES // maps, _MOST_BYTES // (3 * 4 * size**2))
    return int(1 << max(0, fitting.bit_length() - 1))


def _largest_maps(variant: Variant, size: int) -> int:
    """Return the most values that one image needs at a time: a convolution's input and output, and a copy."""
    side = -(-size // 2)
    largest = 3 * size**2 + stem_channels(variant) * side**2
    for block in blocks(variant):
        out_side = -(-side // block.stride)
        largest = max(largest, block.expanded_channels * (side**2 + out_side**2) + block.in_channels * side**2)
        side = out_side
    return 2 * largest


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Switch TF32 off within the block, so that float32 keeps all digits of its mantissa."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before

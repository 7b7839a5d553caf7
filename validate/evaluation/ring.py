"""Memory that decode workers and their parent share: slots of images, used again and again."""

import mmap
import os
import tempfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effconvert.errors import EffconvertError


@dataclass(frozen=True)
class Ring:
    """How the memory is divided: `slots` times `images`, each [size, size, 3] of `dtype` (a numpy name)."""

    slots: int
    images: int
    size: int
    dtype: str

    @property
    def nbytes(self) -> int:
        """Of all slots."""
        return self.slots * self.images * image_bytes(self.size, self.dtype)

    def array(self, descriptor: int) -> NDArray[np.generic]:
        """Return the memory behind the file `descriptor` as [slots, images, size, size, 3]."""
        try:
            memory = mmap.mmap(descriptor, self.nbytes)
        except OSError as error:
            raise _no_memory(self.nbytes, error) from error
        return np.frombuffer(memory, self.dtype).reshape(self.slots, self.images, self.size, self.size, 3)


def image_bytes(size: int, dtype: str) -> int:
    """Return what one image takes."""
    return size * size * 3 * np.dtype(dtype).itemsize


def shared_memory(nbytes: int) -> int:
    """Return a descriptor of `nbytes` of memory that is freed when nobody has it open any more.

    /dev/shm is no place for it: containers give it 64 MB.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("effconvert-images")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        os.ftruncate(descriptor, nbytes)
    except OSError as error:
        os.close(descriptor)
        raise _no_memory(nbytes, error) from error
    return descriptor


def _no_memory(nbytes: int, error: OSError) -> EffconvertError:
    return EffconvertError(f"{nbytes:,} bytes to share images in cannot be had: {error.strerror}")

"""File formats, one module or folder for each, with its reader and writer; `open_checkpoint` recognises the format."""

from effconvert.formats.checkpoint import Array, Checkpoint, TensorInfo
from effconvert.formats.recognition import open_checkpoint

__all__ = ["Array", "Checkpoint", "TensorInfo", "open_checkpoint"]

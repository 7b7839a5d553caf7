"""Folders that cannot be read: a table of their kinds, recognised by the names in them, with what to do."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_EXPORTED = "give the checkpoint that it was exported from"


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder. For each pattern in `holds`, the whole name of some entry must match it.

    remedy: what to do; {folder} stands for the folder.
    """

    name: str
    remedy: str
    holds: tuple[str, ...]


KINDS = (
    FolderKind(
        "a checkpoint of torch.distributed (DCP)",
        "write it as one file, in Python:\n"
        "  from torch.distributed.checkpoint.format_utils import dcp_to_torch_save\n"
        "  dcp_to_torch_save({folder!r}, 'weights.pth')",
        (r".+\.distcp",),
    ),
    FolderKind(
        "a checkpoint of torch.distributed (DCP) without its tensors (.distcp)",
        "get the whole folder",
        (r"\.metadata",),
    ),
    FolderKind(
        "a checkpoint of DeepSpeed (ZeRO), cut into parts",
        "join them with the program in it: python zero_to_fp32.py . weights",
        (r"zero_to_fp32\.py",),
    ),
    FolderKind(
        "a checkpoint of DeepSpeed (ZeRO), cut into parts",
        "join them with DeepSpeed's zero_to_fp32.py",
        (r".*zero_pp_rank_\d+_.+",),
    ),
    FolderKind(
        "an unpacked PyTorch file (data.pkl and data/)",
        "pack it again without compression, in the folder above it: zip -0 -r weights.pth {name}",
        (r"data\.pkl", r"version|data|byteorder"),
    ),
    FolderKind(
        "a checkpoint of JAX (orbax), which is not read here",
        "give the file of another framework that it was ported from, if there is one",
        (r"_CHECKPOINT_METADATA|manifest\.ocdbt|ocdbt\.process_0|_METADATA",),
    ),
    FolderKind("a Core ML package", _EXPORTED, (r"Manifest\.json", "Data")),
    FolderKind("a compiled Core ML model", _EXPORTED, (r"coremldata\.bin",)),
    FolderKind("a TensorFlow.js model", _EXPORTED, (r"model\.json", r".*shard\d+of\d+(?:\.bin)?")),
    FolderKind("an OpenVINO model", _EXPORTED, (r".+\.xml", r".+\.bin")),
    FolderKind("a PaddlePaddle program", _EXPORTED, (r".+\.(?:pdmodel|pdiparams)",)),
    FolderKind(
        "a TensorFlow SavedModel without its weights (variables/)", "get the whole folder", (r"saved_model\.pb",)
    ),
)


def folder_in_words(folder: Path, names: Collection[str]) -> str:
    """Return what a folder with the entries `names` is, and what to do; "" if it is not in the table."""
    for kind in KINDS:
        if all(any(re.fullmatch(pattern, name) for name in names) for pattern in kind.holds):
            return f"{kind.name}; {kind.remedy.format(folder=str(folder), name=folder.absolute().name)}"
    return ""

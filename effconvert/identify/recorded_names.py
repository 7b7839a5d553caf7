"""The texts that speak for a network: what a training keeps beside the weights, and the config.json beside the file."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from effconvert.errors import UnreadableCheckpoint
from effconvert.formats.checkpoint import INNER_KEYS, NETWORK_KEYS, OTHER_KEYS, Checkpoint
from effconvert.formats.strict_json import read_json_object

_TEACHER = "teacher"
_LEVELS = 3


def recorded_texts(checkpoint: Checkpoint) -> Iterator[tuple[str, str, bool]]:
    """Yield (where it stands, text, whether it is meant for a network) of what is kept beside the weights.

    timm's and segmentation-models-pytorch's spellings lose what says whence: `hf_hub:timm/efficientnet_b0.ra_in1k` is
    `efficientnet_b0.ra_in1k`, and `tu-efficientnet_b0` is `efficientnet_b0`.
    """
    config = _flat(read_config(checkpoint.path), (), _LEVELS)
    kept = ((tuple(re.split("[/.]", key)), text) for key, text in checkpoint.metadata.items())
    for file, found in (("", kept), ("config.json", config)):
        for way, text in found:
            *before, last = (key.lower() for key in way)
            inner = bool(before) and last in INNER_KEYS
            deciding = before[-1] if inner else last
            if deciding in (*NETWORK_KEYS, *OTHER_KEYS) and _TEACHER not in before:
                where = file or ".".join(way[-2:] if inner else way[-1:])
                yield where, text.rpartition("/")[2].removeprefix("tu-"), deciding in NETWORK_KEYS


def read_config(path: Path) -> dict[str, Any]:
    """Return the config.json beside the file or in the folder at `path`, empty where there is none of use."""
    try:
        return read_json_object((path if path.is_dir() else path.parent) / "config.json")
    except UnreadableCheckpoint:
        return {}


def recorded_epsilon(checkpoint: Checkpoint) -> Iterator[float]:
    """Yield the BatchNorm epsilon that a timm training was told to take."""
    text = checkpoint.metadata.get("args/bn_eps", "")
    try:
        value = float(text)
    except ValueError:
        return
    if 0 < value < 1:
        yield value


def _flat(values: Mapping[str, Any], before: tuple[str, ...], levels: int) -> Iterator[tuple[tuple[str, ...], str]]:
    for key, value in values.items():
        if isinstance(value, str):
            yield (*before, key), value
        elif isinstance(value, dict) and levels > 1:
            yield from _flat(value, (*before, key), levels - 1)

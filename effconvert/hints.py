"""What speaks for one of a library's networks: a training's `arch`, the config beside a file, or the file's name."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from effconvert.formats.checkpoint import Checkpoint
from effconvert.reference_tables import misnamed_files, recipe_tables, weights_table

_KEYS = ("arch", "architecture", "model", "model_name")
_LARGEST = 1 << 20


def recorded_names(checkpoint: Checkpoint) -> dict[str, str]:
    """Return {where it stands: network} of the texts that a training or a repository keeps beside the weights.

    timm's spellings are taken: `hf_hub:timm/efficientnet_b0.ra_in1k` is `efficientnet_b0`.
    """
    texts = {key: text for key, text in checkpoint.metadata.items() if key.rpartition("/")[2] in _KEYS}
    architecture = read_config(checkpoint.path).get("architecture")
    if isinstance(architecture, str):
        texts["config.json"] = architecture
    return {key: text.rpartition("/")[2].partition(".")[0] for key, text in texts.items()}


def named_in(path: Path, names: Mapping[str, Any]) -> str | None:
    """Return the longest of `names` that the file's name holds, None where it holds none."""
    shown = path.name.replace("-", "_")
    return max((name for name in names if name in shown), key=len, default=None)


def recorded_training(checkpoint: Checkpoint, layout: str, variant: str) -> str | None:
    """Return which training the config beside a file of timm's says, or the file's own name as it was published.

    Of names that several files have (`model.safetensors`) none says it.
    """
    said = read_config(checkpoint.path).get("pretrained_cfg")
    tag = said.get("tag") if isinstance(said, dict) else None
    rows = [
        row for row in weights_table() if row.variant == variant and layout in recipe_tables()[row.recipe]["layouts"]
    ]
    tagged = [row.weights for row in rows if row.weights == tag]
    name = checkpoint.path.name
    misnamed = misnamed_files().get(name)
    telling = sum(row.file_name == name for row in weights_table()) == 1
    called = [
        row.weights
        for row in rows
        if (telling and name == row.file_name)
        or name.startswith(f"{row.network}.{row.weights}.")
        or (misnamed and misnamed.is_of(row))
    ]
    found = tagged or called
    return found[0] if len(set(found)) == 1 else None


def read_config(path: Path) -> dict[str, Any]:
    """Return the config.json beside the file or in the folder at `path`, empty where there is none of use."""
    file = (path if path.is_dir() else path.parent) / "config.json"
    try:
        if file.stat().st_size > _LARGEST:
            return {}
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def recorded_epsilon(checkpoint: Checkpoint) -> Iterator[float]:
    """Yield the BatchNorm epsilon that a timm training was told to take."""
    text = checkpoint.metadata.get("args/bn_eps", "")
    try:
        value = float(text)
    except ValueError:
        return
    if 0 < value < 1:
        yield value

"""What networks are called in a report: a name for people, and an id that is safe in file names and HTML."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

from effconvert.identify.weight_sets import RAW

_TRAININGS = {"aa": "AutoAugment", "ra": "RandAugment", "ns": "NoisyStudent", "advprop": "AdvProp"}
_LIBRARIES = {
    "tf-official": "TensorFlow",
    "timm": "timm",
    "torchvision": "torchvision",
    "lukemelas": "EfficientNet-PyTorch",
    "mmpretrain": "MMPretrain",
    "mindcv": "MindCV",
    "mindvision": "MindSpore Vision",
    "keras": "Keras",
    "keras-positional": "Keras",
    "huggingface": "Hugging Face",
}
_LONGEST_ID = 60


def network_name(model: Mapping[str, Any]) -> str:
    """Return what a network is called: efficientnet-b7 (AutoAugment, raw weights)."""
    said = [_TRAININGS.get(model["weights"], model["weights"])] if model["weights"] else []
    origin = model.get("origin") or {}
    raw = ["raw weights"] if RAW in (model["taken"], origin.get("taken")) else []
    inside = ", ".join([*said, *raw])
    return f"efficientnet-{model['variant']}{f' ({inside})' if inside else ''}"


def library_name(layout: str) -> str:
    """Return what the library of a layout is called."""
    return "MindSpore's model zoo" if layout.startswith("mindspore-zoo") else _LIBRARIES.get(layout, layout)


def unique_ids(paths: Iterable[str]) -> Iterator[str]:
    """Yield an id for each file: its name without suffix, with a number where it is taken."""
    taken: set[str] = set()
    for path in paths:
        plain = _plain_id(PurePath(path).stem)
        numbered = (plain if number == 1 else f"{plain}-{number}" for number in range(1, len(taken) + 2))
        chosen = next(name for name in numbered if name not in taken)
        taken.add(chosen)
        yield chosen


def _plain_id(text: str) -> str:
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).lstrip("._-")
    return plain[:_LONGEST_ID].rstrip("._-") or "network"

"""Objects in a pickle, which are never created: their contents, and Python code that saves them elsewhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effconvert.formats.checkpoint import Withheld
from effconvert.formats.torch.arrays import Array
from effconvert.formats.torch.globals import KNOWN_NAMES
from effconvert.formats.torch.keys import Key
from effconvert.formats.torch.tensors import Inert, InertName, StorageView, Tensor, Unread, made_by

_TENSORS = (Tensor, Unread, StorageView)
_LOOKED_AT = (dict, list, tuple, Inert, Key, Array, *_TENSORS)
# Wrappers of a module: torch.nn.DataParallel and similar classes, torch.compile.
_WRAPPED = ("module", "_orig_mod")
_MOST_WRAPPERS = 4
_LONGEST_KEY = 100
_SAVE = "torch.save({}, 'weights.pth')"
_DCP_INDEX = "torch.distributed.checkpoint.metadata.Metadata"


@dataclass(frozen=True)
class Found:
    """An object at the path `keys`, with the number of tensors and of numpy arrays inside."""

    keys: tuple[Any, ...]
    value: Inert | InertName
    tensors: int = 0
    arrays: int = 0

    @property
    def is_reported(self) -> bool:
        """Whether the user is told: its class is unknown, or it holds tensors."""
        return self.tensors > 0 or self.value.name not in KNOWN_NAMES

    @property
    def words(self) -> str:
        """The description of the object."""
        if isinstance(self.value, InertName):
            return self.value.name
        kind = "a dict of class" if self.value.entries is not None else "an object of"
        counts = [f"{self.tensors:,} tensor{'s' * (self.tensors != 1)}"] if self.tensors else []
        counts += [f"{self.arrays:,} array{'s' * (self.arrays != 1)} of numpy"] if self.arrays else []
        inside = f" with {' and '.join(counts)} inside" if counts else ""
        return f"{kind} {self.value.name}{inside}"

    @property
    def reason(self) -> str:
        """The reason why it is left behind."""
        if isinstance(self.value, Inert) and self.value.name.rpartition(".")[2].lstrip("_").startswith("rebuild_"):
            return made_by(self.value.name).reason
        return f"not read: {self.words}"

    def withheld(self, path: Path) -> Withheld:
        """Return the entry for `Checkpoint.withheld` of the file at `path`."""
        whole = _is_module(self.value) or (isinstance(self.value, Inert) and self.value.entries is not None)
        return Withheld(self.words, self.tensors, whole, "; ".join(remedy(path, self)))


def count_inside(value: Any, seen: set[int]) -> tuple[int, int]:
    """Return how many tensors and numpy arrays are inside `value`, at any depth, and not yet in `seen`.

    `seen` holds the ids of counted values, so that nothing is counted twice.
    """
    tensors = arrays = 0
    left: list[Any] = [value]
    while left:
        inner = left.pop()
        if not isinstance(inner, _LOOKED_AT) or id(inner) in seen:
            continue
        seen.add(id(inner))
        if isinstance(inner, Array):
            arrays += 1
        elif isinstance(inner, _TENSORS):
            is_array = isinstance(inner, Tensor) and inner.storage.data is not None
            tensors, arrays = tensors + (not is_array), arrays + is_array
        else:
            left.extend(_parts(inner))
    return tensors, arrays


def _parts(nest: Any) -> Iterable[Any]:
    if isinstance(nest, Inert):
        return [nest.entries, nest.state, *nest.held]
    if isinstance(nest, Key):
        return [nest.held]
    return [*nest.keys(), *nest.values()] if isinstance(nest, dict) else nest


def _is_module(value: Any) -> bool:
    """Return whether `value` has the fields of a torch.nn.Module."""
    return isinstance(value, Inert) and type(value.state) is dict and {"_parameters", "_modules"} <= value.state.keys()


def remedy(path: Path, found: Found) -> list[str]:
    """Return two lines of Python that save the tensors of the object; they need its class."""
    value = found.value
    place = "loaded" + "".join(f"[{key!r}]" if len(str(key)) <= _LONGEST_KEY else "[…]" for key in found.keys)
    if isinstance(value, Inert) and value.entries is not None:
        saved = f"dict({place})"
    else:
        fields = value.fields if isinstance(value, Inert) and not _is_module(value) else {}
        inner = next((name for name, field in fields.items() if _is_module(field)), None)
        saved = f"{place}{f'.{inner}' if inner else ''}.state_dict()"
    return [f"loaded = torch.load({str(path)!r}, map_location='cpu', weights_only=False)", _SAVE.format(saved)]


def refusal(path: Path, value: Any, objects: Sequence[Found]) -> str | None:
    """Return why a file with tensors only inside objects is refused; None if there are no objects."""
    if isinstance(value, Inert) and value.name.startswith("__torch__."):
        lines = [f"model = torch.jit.load({str(path)!r}, map_location='cpu')", _SAVE.format("model.state_dict()")]
        return _with_lines(
            f"{path}: a TorchScript file (torch.jit.save): a program with its weights. With torch:", lines
        )
    if isinstance(value, Inert) and value.name == _DCP_INDEX:
        return f"{path}: the index of a checkpoint of torch.distributed.checkpoint; {merged(path.parent)}"
    holding = sorted((found for found in objects if found.tensors), key=lambda found: -found.tensors)
    if not holding:
        return None
    largest = holding[0]
    name = largest.value.name
    if not largest.keys and _is_module(value):
        inner = "" if _innermost(value) == name else f" around {_innermost(value)}"
        what = f"a whole model of class {name}{inner}, as torch.save(model) writes it"
    else:
        what = "holds its tensors inside objects, not in a dict: " + "; ".join(map(_at, holding[:5]))
    saving = "torch.save its state_dict()" if _is_module(largest.value) else "torch.save what it holds"
    return _with_lines(
        f"{path}: {what}; its pickle asks for {name}, but code of a file is never run. Where it exists, {saving}:",
        remedy(path, largest),
    )


def merged(folder: Path) -> str:
    """Return the command that merges the pieces of torch.distributed.checkpoint in `folder`."""
    return (
        f"merge its pieces with python -m torch.distributed.checkpoint.format_utils dcp_to_torch {folder} weights.pth"
    )


def _at(found: Found) -> str:
    name = "/".join(str(key)[:_LONGEST_KEY] for key in found.keys[:3])
    return f"{name!r} is {found.words}" if name else found.words


def _innermost(module: Any) -> str:
    """Return the class of a module; for a wrapper, the class of the inner module."""
    for _ in range(_MOST_WRAPPERS):
        modules = module.state["_modules"]
        inner = [modules[name] for name in _WRAPPED if name in modules] if type(modules) is dict else []
        if not inner or not _is_module(inner[0]):
            break
        module = inner[0]
    return str(module.name)


def _with_lines(heading: str, lines: Iterable[str]) -> str:
    return "\n".join([heading, *(f"  {line}" for line in lines)])

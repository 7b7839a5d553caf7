"""The names of a file's tensors without the words of wrappers, for comparison with maps.

`torch.compile`, FSDP, activation checkpointing and DataParallel wrap a module, or a part of it, and add a word to the
names of its tensors: `blocks._orig_mod.0.0.conv_dw.weight`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path

from effconvert.errors import LayoutMismatch, listing
from effconvert.formats.checkpoint import Checkpoint, Shape
from effconvert.option_words import option

BOUNDARIES = "./:|"
# The end of every reason that is an option of the user. Files record reasons, so they have the option's bare name.
BY_OPTION = ", as asked"
BY_LEAVE = "named by the option leave: "
# torch/_dynamo/eval_frame.py; torch/distributed/fsdp; torch/distributed/algorithms/_checkpoint; torch/nn/parallel.
_WRAPPER = re.compile(r"(?<![^./:|])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|module)\.")


@dataclass(frozen=True)
class TensorNames:
    """The tensors of a file that count.

    shapes: {name without wrappers: shape}. files: {name without wrappers: name in the file}. stored: {name in the file:
    shape}. left: {name in the file: reason} for those that the user leaves behind. nested: whether a "/" separates a
    dict from its entries. behind: names in the file of tensors that use only the pooled features, according to the
    file.
    """

    path: Path
    metadata: Mapping[str, str]
    nested: bool
    shapes: Mapping[str, Shape]
    files: Mapping[str, str]
    stored: Mapping[str, Shape]
    left: Mapping[str, str]
    behind: frozenset[str] = frozenset()

    def written(self, root: str, name: str) -> str:
        """Return `root` as the file writes it before the tensor `name`, with the wrappers at its end."""
        file = self.files[name]
        ends = [0, *(place + 1 for place, letter in enumerate(file) if letter in BOUNDARIES)]
        return next((file[:end] for end in reversed(ends) if without_wrappers(file[:end]) == root), root)

    def under(self, root: str, written: str) -> dict[str, str]:
        """Return {name without `root`: name in the file} for all names under `root`, in the file `written`."""
        return {
            name.removeprefix(root): file
            for name, file in self.files.items()
            if name.startswith(root) and file.startswith(written)
        }


def list_tensor_names(checkpoint: Checkpoint, leave: Iterable[str] = ()) -> TensorNames:
    """Return the names of the tensors in `checkpoint`, without those that a pattern in `leave` matches.

    Raises LayoutMismatch for a pattern that matches none.
    """
    left = _left(checkpoint, tuple(leave))
    kept = [name for name in checkpoint.tensors if name not in left]
    plain = {name: without_wrappers(name) for name in kept}
    counts = Counter(plain.values())
    # If one of two networks is wrapped, the names stay: without wrappers they would be equal.
    files = {short if counts[short] == 1 else name: name for name, short in plain.items()}
    stored = {name: checkpoint.tensors[name].shape for name in kept}
    shapes = {name: stored[file] for name, file in files.items()}
    return TensorNames(
        path=checkpoint.path,
        metadata=checkpoint.metadata,
        nested=checkpoint.nested,
        shapes=shapes,
        files=files,
        stored=stored,
        left=left,
        behind=checkpoint.behind,
    )


def shared_start(one: str, other: str) -> str:
    """Return the common start of two names."""
    return one[: sum(1 for _ in takewhile(lambda letters: letters[0] == letters[1], zip(one, other, strict=False)))]


def without_wrappers(name: str) -> str:
    """Return `name` without the words of wrappers."""
    return _WRAPPER.sub("", name)


def _is_named(name: str, pattern: str, nested: bool) -> bool:
    """Return whether `pattern` matches a tensor's full name, or its name in the dict that holds it."""
    return fnmatchcase(name, pattern) or (nested and fnmatchcase(name.rpartition("/")[2], pattern))


def _left(checkpoint: Checkpoint, patterns: Sequence[str]) -> dict[str, str]:
    found = {
        name: f"{BY_LEAVE}{pattern}{BY_OPTION}"
        for pattern in reversed(patterns)
        for name in checkpoint.tensors
        if _is_named(name, pattern, checkpoint.nested)
    }
    vain = [
        pattern
        for pattern in patterns
        if not any(_is_named(name, pattern, checkpoint.nested) for name in checkpoint.tensors)
    ]
    if vain:
        some = ", ".join(list(checkpoint.tensors)[-3:])
        heading = f"{checkpoint.path}: {option('leave')} matches no tensor of the file (its last ones are {some}):"
        raise LayoutMismatch(listing(heading, vain))
    return found

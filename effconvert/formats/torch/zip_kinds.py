"""Kinds of zip files that torch.save did not write, recognised by the names of their records, with what to do."""

from collections.abc import Callable, Sequence
from pathlib import Path

from effconvert.errors import some

_CHECKPOINTS = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".h5", ".hdf5", ".keras", ".tar", ".index", ".npz")
_SHOWN = 3


def name_zip(path: Path, names: Sequence[str]) -> str:
    """Return what the zip file at `path` with the records `names` is."""
    for tells, words in _KINDS:
        if tells(names):
            return words.format(path=repr(str(path)))
    inside = [name for name in names if name.endswith(_CHECKPOINTS)]
    if inside:
        shown = some([ascii(name)[1:-1] for name in inside], _SHOWN)
        return f"a zip archive around {shown}, not one that torch.save wrote; unpack it"
    pickles = sum(name.endswith("/data.pkl") for name in names)
    found = f"{pickles} records data.pkl" if pickles else "no record data.pkl in a folder"
    shown = some([ascii(name)[1:-1] for name in names], _SHOWN)
    return f"a zip file, but not one that torch.save wrote ({found}; it holds {shown or 'nothing'})"


def _holds(*ends: str) -> Callable[[Sequence[str]], bool]:
    return lambda names: any(name == end.lstrip("/") or name.endswith(end) for name in names for end in ends)


def _all_arrays(names: Sequence[str]) -> bool:
    return bool(names) and all(name.endswith(".npy") for name in names)


_EXPORTED = (
    "a file of torch.export (.pt2): a program with its weights, not one that torch.save wrote. With torch: "
    "torch.save(torch.export.load({path}).state_dict, 'weights.pth')"
)
# Source: torch/export/pt2_archive/constants.py, torch/_export/serde, torch/package/package_exporter.py, numpy.savez,
# and the archives of TorchServe and PaddlePaddle.
_KINDS: tuple[tuple[Callable[[Sequence[str]], bool], str], ...] = (
    (_holds("/archive_format", "serialized_exported_program.json"), _EXPORTED),
    (
        _all_arrays,
        "an archive of numpy (.npz), not one that torch.save wrote; as a file with names: "
        "safetensors.numpy.save_file(dict(numpy.load({path})), 'weights.safetensors')",
    ),
    (
        _holds("/.data/extern_modules"),
        "an archive of torch.package: a whole model with its source code, not one that torch.save wrote; "
        "load it with torch.package.PackageImporter and torch.save its state_dict()",
    ),
    (
        _holds("MAR-INF/MANIFEST.json"),
        "a model archive of TorchServe (.mar), not one that torch.save wrote; unpack it",
    ),
)

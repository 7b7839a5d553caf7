"""A zip file that torch.save did not write is refused with what it is, and with the one thing to do."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributed.checkpoint.state_dict_saver import save

from helpers.formats.building import make_safetensors, read_all, refusal

KINDS = {
    "PyTorch's export": (["x/archive_format", "x/models/model.json"], "torch.export.load("),
    "PyTorch's export before 2.8": (["version", "serialized_exported_program.json"], "torch.export.load("),
    "arrays of numpy": (["conv.weight.npy", "bn.bias.npy"], "an archive of numpy (.npz)"),
    "a package": (["x/.data/extern_modules", "x/model/model.pkl"], "an archive of torch.package"),
    "a model archive": (["MAR-INF/MANIFEST.json", "model.pth"], "a model archive of TorchServe"),
    "an archive around a file": (["run/epoch=3.ckpt", "run/log.txt"], "a zip archive around run/epoch=3.ckpt"),
    "a document": (["word/document.xml", "word/styles.xml"], "it holds word/document.xml"),
    "two models": (["a/data.pkl", "b/data.pkl"], "2 records data.pkl"),
}


@pytest.mark.parametrize(("names", "words"), KINDS.values(), ids=KINDS.keys())
def test_a_zip_file_is_named(tmp_path: Path, names: list[str], words: str) -> None:
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    message = refusal(path)
    assert words in message
    assert "not one that torch.save wrote" in message
    assert message.isprintable()


def test_a_program_of_torch_export_is_named(tmp_path: Path) -> None:
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),))
    torch.export.save(program, tmp_path / "x.pt2")
    assert "a file of torch.export (.pt2)" in refusal(tmp_path / "x.pt2")


def test_a_compressed_archive_of_numpy_is_named(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=np.ones(3))
    assert "safetensors.numpy.save_file(dict(numpy.load(" in refusal(tmp_path / "x.npz")


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_the_pieces_of_a_distributed_checkpoint_are_named(tmp_path: Path) -> None:
    tensors = {"model": {"x": torch.ones(2), "y": torch.ones(3)}, "step": torch.tensor(1)}
    save(tensors, checkpoint_id=str(tmp_path / "dcp"))
    (piece,) = (tmp_path / "dcp").glob("*.distcp")
    remedy = f"python -m torch.distributed.checkpoint.format_utils dcp_to_torch {tmp_path / 'dcp'} weights.pth"
    for path, words in ((piece, "a piece of"), (tmp_path / "dcp" / ".metadata", "the index of")):
        message = refusal(path)
        assert f"{words} a checkpoint of torch.distributed.checkpoint" in message
        assert remedy in message


def test_a_file_of_another_format_is_no_piece(tmp_path: Path) -> None:
    """Which is told by the content: a safetensors file may be called so."""
    path = make_safetensors(tmp_path / "x.distcp", {"x": np.ones(1, np.float32)})
    assert [*read_all(path)] == ["x"]

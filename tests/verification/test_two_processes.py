"""The source, the converted file and their comparison run in separate processes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import effconvert
from effconvert.model import create_model
from effconvert.model.calibration import calibrate, random_weights, synthetic_images
from effconvert.verification.inputs import Images
from effconvert.verification.procedure import verify


def test_each_side_is_started_by_itself_wherever_the_files_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "my weights — 重み é"
    folder.mkdir()
    network = calibrate(random_weights(create_model("b0", classes=10)), synthetic_images(8, 64, 64))
    torch.save(network.state_dict(), folder / "source of all.pth")
    effconvert.convert(folder / "source of all.pth", folder / "ü.safetensors")

    start, started = subprocess.Popen, []

    def watched(command: list[str], **options: Any) -> Any:
        started.append(command[:6])
        return start(command, **options)

    monkeypatch.setattr(subprocess, "Popen", watched)
    found = verify(folder / "ü.safetensors", folder / "source of all.pth", images=Images(size=64), in_float64=False)
    assert found.verdict.sentence == (
        "same: every layer is equal bit for bit; but bn_eps and padding are only assumed (facts=… tells)"
    )
    files = [folder / "source of all.pth", folder / "ü.safetensors"]
    assert sorted(started) == [
        [sys.executable, "-P", "-m", "effconvert.verification.runners.run_canonical", str(file), "--settings"]
        for file in sorted(files)
    ]

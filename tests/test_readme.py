"""The commands in the README work as printed, in the order in which they stand there."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch

import effconvert
from effconvert.reference_tables.published_weights import choose
from helpers.library_files import library_tensors, save
from helpers.mirror import put_archive, serving
from helpers.running import Ran

OTHERS = [
    ("mindspore", "mindvision", "b0", None),
    ("mmpretrain", "mmpretrain", "b0", "aa"),
    ("timm", "timm", "cc-b1-8e", None),
    ("torchvision", "torchvision", "b0", None),
]
SUFFIXES = {"mindspore": ".ckpt", "mmpretrain": ".pth", "timm": ".pth", "torchvision": ".pth"}
NEEDS_FRAMEWORKS = ("verify ", "run ", "compare own-")  # run in tests/frameworks/test_readme_verification.py
NEEDS_IMAGENET = ("imagenet/val", "ILSVRC2012_img_val.tar")
README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture
def published(b0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the README downloads. The published files are named after their hashes, which these cannot have."""
    for module in ("effconvert.hub.cache", "effconvert.reference_tables.file_names"):
        monkeypatch.setattr(f"{module}.name_sha8", lambda name: None)
    site = tmp_path / "site"
    for framework, layout, variant, weights in OTHERS:
        file = site / urlsplit(choose(variant, weights, framework).url).path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        source = save(tmp_path / "source.pth", library_tensors(layout, variant, classes=1000))
        effconvert.convert(source, tmp_path / f"source{SUFFIXES[framework]}", to=layout, force=True)
        (tmp_path / f"source{SUFFIXES[framework]}").replace(file)
    put_archive(site, "efficientnet/ckptsaug/efficientnet-b0.tar.gz", b0)
    put_archive(site, "efficientnet/noisystudent/noisy_student_efficientnet-b0.tar.gz", b0)
    with serving(site, monkeypatch):
        yield


@pytest.mark.usefixtures("published")
def test_every_command_and_the_python_example_work_as_printed(
    run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("effconvert.demo.packages.installed", lambda: None)  # what they begin with is there either way
    assert run("demo").exit_code == 0  # `make demo` stands before them
    commands = re.findall(r"^    effconvert ([^#\n]+)", README, re.MULTILINE)
    assert len(commands) == 38
    here = [command for command in commands if not command.startswith(NEEDS_FRAMEWORKS)]
    here = [command for command in here if not any(data in command for data in NEEDS_IMAGENET)]
    assert len(here) == 31
    for command in here:
        ran = run(*command.split())
        assert ran.exit_code == 0, f"{command}: {ran.err}"
    written = {"b0.safetensors", "b0-ns.safetensors", "b0-aa.safetensors", "cc-b1-8e.safetensors", "own-tensorflow"}
    assert written <= {entry.name for entry in tmp_path.iterdir()}
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {"images": torch.zeros(1, 3, 224, 224)})

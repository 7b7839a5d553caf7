"""The commands in the README work as printed, in the order in which they stand there."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from mirror import put_archive, serving
from running import Ran

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture
def published(b0: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two trainings of B0 that can be downloaded."""
    site = tmp_path / "site"
    put_archive(site, "efficientnet/ckptsaug/efficientnet-b0.tar.gz", b0)
    put_archive(site, "efficientnet/noisystudent/noisy_student_efficientnet-b0.tar.gz", b0)
    with serving(site, monkeypatch):
        yield


@pytest.mark.usefixtures("published")
def test_every_command_and_the_python_example_work_as_printed(
    run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("demo").exit_code == 0  # `make demo` stands before them
    commands = re.findall(r"^    effconvert ([^#\n]+)", README, re.MULTILINE)
    assert len(commands) == 7
    for command in commands:
        ran = run(*command.split())
        assert ran.exit_code == 0, f"{command}: {ran.err}"
    assert {"b0.safetensors", "b0-ns.safetensors", "own.safetensors", "own-tensorflow"} <= {
        entry.name for entry in tmp_path.iterdir()
    }
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {"images": torch.zeros(1, 3, 224, 224)})

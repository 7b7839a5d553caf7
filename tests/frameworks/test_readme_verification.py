"""The README's commands that need the real frameworks work as printed, in the order in which they stand there."""

import re
import shlex
from pathlib import Path

from verifying import effconvert_command

README = (Path(__file__).parents[2] / "README.md").read_text()
COMMANDS = [shlex.split(words) for words in re.findall(r"^    effconvert ([^#\n]+)", README, re.MULTILINE)]


def test_they_work_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in (["demo"], ["tf2pt", "--checkpoint", "effconvert-demo/efficientnet-b0", "--out", "own.safetensors"],
                      ["pt2timm", "own.safetensors", "--out", "own-timm.pth"]):  # fmt: skip
        assert effconvert_command(*arguments).exit_code == 0
    chosen = [arguments for arguments in COMMANDS if arguments[0] in ("frameworks", "verify", "run", "compare")]
    chosen = [arguments for arguments in chosen if not arguments[1:2] or "effconvert-runs" not in arguments[1]]
    assert [arguments[0] for arguments in chosen] == ["frameworks", "verify", "verify", "run", "run", "compare"]
    for arguments in chosen:
        ran = effconvert_command(*arguments)
        assert ran.exit_code == 0, f"{arguments}: {ran.err}{ran.out}"

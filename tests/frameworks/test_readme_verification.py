"""The README's commands that need the real frameworks work as printed, in their order."""

import re
import shlex
from pathlib import Path

from helpers.frameworks.verifying import effconvert_command

README = (Path(__file__).parents[2] / "README.md").read_text()
COMMANDS = [shlex.split(words) for words in re.findall(r"^    effconvert ([^#\n]+)", README, re.MULTILINE)]


def test_the_demo_prints_what_the_first_screen_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = effconvert_command("demo")
    assert ran.exit_code == 0, ran.err
    (shown,) = re.findall(r"```text\n(1\. .*?)```", README, re.DOTALL)
    printed = ran.out.splitlines()
    assert [line for line in shown.splitlines() if line not in printed] == []
    assert printed[-1] == (tmp_path / "effconvert-demo" / "report" / "report.html").as_uri()


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

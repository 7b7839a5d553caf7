"""Commands in a process of their own that need not start an interpreter: a copy of this one runs them.

Only imports are shared, which take most of a start. Where a test is of the start itself, of what is imported, or of
signals, it starts `python -m effconvert`.
"""

import os
import runpy
import sys
import tempfile
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import torch

from helpers.running import Ran


def run_forked(*arguments: object, folder: Path | None = None, variables: Mapping[str, str] | None = None) -> Ran:
    """Run `effconvert` with these arguments in `folder`, its output and errors in files as behind a pipe."""
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place) / "out", Path(place) / "err"
        child = os.fork()
        if child == 0:
            try:
                for path, number in ((os.devnull, 0), (out, 1), (err, 2)):
                    os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
                become_command(*arguments, folder=folder, variables=variables)
            finally:
                os._exit(127)
        _, status = os.waitpid(child, 0)
        return Ran(os.waitstatus_to_exitcode(status), out.read_text(), err.read_text())


def become_command(
    *arguments: object, folder: Path | None = None, variables: Mapping[str, str] | None = None
) -> NoReturn:
    """Run `effconvert` with these arguments in this process, a new copy, with the files 0, 1, 2 that it has; end it."""
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        file = os.fdopen(number, mode, buffering=1, encoding="utf-8", closefd=False)
        setattr(sys, name, file)
        setattr(sys, f"__{name}__", file)
    os.environ.pop("COLUMNS", None)
    os.environ.update({"OMP_NUM_THREADS": "1", **(variables or {})})
    torch.set_num_threads(1)  # a copy has no other thread, and would wait for it
    warnings.resetwarnings()
    if folder:
        os.chdir(folder)
    os._exit(_exit_code([str(argument) for argument in arguments]))


def _exit_code(words: list[str]) -> int:
    sys.argv = ["effconvert", *words]
    code = 0
    try:
        runpy.run_module("effconvert", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code

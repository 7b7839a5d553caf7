"""Running the canonical network in this process: the same runner and files, without the time of a start."""

import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from threading import Lock

import pytest

from effconvert.architecture.canonical import CANONICAL
from effconvert.errors import LayoutMismatch
from effconvert.options import Options
from effconvert.verification.execution import save_run
from effconvert.verification.inputs import Images
from effconvert.verification.launching import Together
from effconvert.verification.runners import run_canonical
from helpers.verification.waiting import wait_for_the_other


@contextmanager
def canonical_network_in_this_process() -> Iterator[None]:
    """No process is started for the canonical network within the block."""
    from effconvert.verification import launching

    start, one_by_one = launching._start, Lock()

    def start_here(
        name: str,
        python: str,
        folder: Path,
        arguments: list[str],
        variables: Mapping[str, str] = {},
        together: Together | None = None,
    ) -> str:
        if name != CANONICAL:
            return start(name, python, folder, arguments, variables, together)
        wait_for_the_other(together)
        said = io.StringIO()
        with one_by_one, redirect_stderr(said), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO("ready\n"))
            code = run_canonical.main(arguments)
        if code == LayoutMismatch.exit_code:
            raise LayoutMismatch(said.getvalue())
        assert code == 0, said.getvalue()
        return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launching, "_start", start_here)
        yield


def followed(file: Path, reference: Path, out: Path) -> Path:
    """Run the canonical network of `file` as `effconvert run FILE --follow REFERENCE --out OUT`, and return `out`."""
    with canonical_network_in_this_process():
        save_run(file, CANONICAL, out, Options(), None, Images(), reference, {}, True)
    return out

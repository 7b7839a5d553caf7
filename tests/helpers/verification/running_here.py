"""Running the canonical network in this process: the same runner and files, without the time of a start."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import pytest

from effconvert.architecture.canonical import CANONICAL
from effconvert.errors import LayoutMismatch
from effconvert.options import Options
from effconvert.verification.execution import save_run
from effconvert.verification.inputs import Images
from effconvert.verification.runners import run_canonical


@contextmanager
def canonical_network_in_this_process() -> Iterator[None]:
    """No process is started for the canonical network within the block."""
    from effconvert.verification import launching

    start = launching._start

    def start_here(
        name: str, python: str, folder: Path, arguments: list[str], variables: Mapping[str, str] = {}
    ) -> str:
        if name != CANONICAL:
            return start(name, python, folder, arguments, variables)
        said = io.StringIO()
        with redirect_stderr(said):
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

"""Output folder of the demo; it is overwritten if it contains an earlier demo and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from effconvert.atomic import check_folder_name, check_output, reported
from effconvert.demo import calibrated, trained


@contextmanager
def demo_folder(folder: Path, force: bool = False) -> Iterator[None]:
    """Create `folder` for the demo, for the block.

    Raises OutputProblem if it exists without `force`, unless it contains a complete earlier demo and nothing else.
    """
    check_folder_name(folder)
    check_output(folder, force or _is_demo(folder))
    with reported(folder):
        folder.mkdir(exist_ok=True)
        yield


def _is_demo(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    held = {entry.name for entry in folder.iterdir()}
    return calibrated.WRITTEN <= held <= calibrated.WRITTEN | trained.WRITTEN | {trained.REPORT}

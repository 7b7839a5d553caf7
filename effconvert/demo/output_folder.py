"""Output folder of the demo."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from effconvert.atomic import check_folder_name, check_output, reported


@contextmanager
def demo_folder(folder: Path, force: bool = False) -> Iterator[None]:
    """Create `folder` for the demo, for the block.

    Raises OutputProblem if it exists without `force`, unless it is empty.
    """
    check_folder_name(folder)
    check_output(folder, force)
    with reported(folder):
        folder.mkdir(exist_ok=True)
        yield

"""Deep tests: those that repeat a promise over many variants, faults or files. The rest is run every time.

--deep=none leaves them out, --deep=all runs them too, and --deep=3/7 runs the third of seven parts of them, so that
seven days run them all. Every run says how many were chosen of how many.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

_PART = re.compile(r"([1-9]\d*)/([1-9]\d*)")
_DEEP = pytest.StashKey[str]()


def deep_but(cases: Iterable[Any], light: Callable[[Any], bool]) -> list[Any]:
    """Return the cases for `parametrize`, all but the light ones marked as deep."""
    found = []
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        found.append(pytest.param(*values, marks=() if light(case) else pytest.mark.deep))
    assert any(not one.marks for one in found), "no case of it would be run every time"
    return found


def chosen(ids: Sequence[str], option: str) -> set[str]:
    """Return those of the deep tests `ids` that --deep=OPTION runs. Raises ValueError for what is not an option."""
    if option in ("none", "all"):
        return set(ids) if option == "all" else set()
    part = _PART.fullmatch(option)
    if not part or int(part[1]) > int(part[2]):
        raise ValueError(f"--deep={option}: none, all, or a part such as 3/7 is expected")
    return set(sorted(ids)[int(part[1]) - 1 :: int(part[2])])


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --deep."""
    parser.addoption("--deep", default="none", metavar="none|all|N/M", help="which deep tests are run (none)")


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest what the mark means."""
    config.addinivalue_line("markers", "deep: repeats a promise for one case more; --deep says when it is run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the deep tests that were not chosen."""
    deep = [item.nodeid for item in items if item.get_closest_marker("deep")]
    try:
        kept = chosen(deep, config.getoption("--deep"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error
    left_out = set(deep) - kept
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
    items[:] = [item for item in items if item.nodeid not in left_out]
    said = f"--deep={config.getoption('--deep')}: {len(kept)} of {len(deep)} deep tests, and all {len(items) - len(kept)} others"
    config.stash[_DEEP] = said
    if hasattr(config, "workeroutput"):
        config.workeroutput["deep"] = said


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over what a worker of xdist says, for only workers collect."""
    node.config.stash[_DEEP] = node.workeroutput.get("deep", "")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many deep tests were run."""
    if said := config.stash.get(_DEEP, ""):
        terminalreporter.write_line(said)

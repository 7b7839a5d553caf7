"""Shared fixtures of the tests against the real frameworks. A missing framework is an error, never a skip."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported, or it talks
# Otherwise PyTorch's waiting threads spin, and take CPU time from TensorFlow's.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import figures  # noqa: E402
import pytest  # noqa: E402


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured, so that a run says how far the numbers were apart and not only that they passed."""
    if figures.measured:
        terminalreporter.section("measured: max |difference| / max |reference|")
        for line in figures.table():
            terminalreporter.write_line(line)

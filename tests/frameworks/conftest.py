"""Shared fixtures of the tests against the real frameworks. A missing framework is an error, never a skip."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is imported, or it talks
# Otherwise PyTorch's waiting threads spin, and take CPU time from TensorFlow's.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest

from helpers.frameworks import figures

pytest_plugins = ["helpers.deep"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured, so that a run says how far the numbers were apart and not only that they passed."""
    if figures.measured:
        terminalreporter.section("measured: max |difference| / max |reference|")
        for line in figures.table():
            terminalreporter.write_line(line)

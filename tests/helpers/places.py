"""Where the project, its tests and their golden files are."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PROJECT = TESTS.parent
GOLDEN = TESTS / "golden"

"""The folders of the project, its tests and their golden files."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PROJECT = TESTS.parent
GOLDEN = TESTS / "golden"

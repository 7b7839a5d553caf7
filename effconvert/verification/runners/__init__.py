"""Runners of the real frameworks, each in its own process; a runner needs its framework and numpy, not effconvert."""

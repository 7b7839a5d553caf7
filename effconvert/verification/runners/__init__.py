"""Runs the real frameworks, each in a process of its own; a runner needs its framework and numpy, and no effconvert."""

"""The tables of `reference/` as frozen rows, read and checked once: a module for each."""

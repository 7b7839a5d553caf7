"""Fuzzing: every parser gets bytes that nobody wrote, and may read or refuse them, within its budget."""

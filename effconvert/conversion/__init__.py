"""Conversion of a checkpoint to a file of another layout: planned, moved tensor by tensor, written, read back."""

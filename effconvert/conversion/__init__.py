"""A checkpoint becomes a file of another layout: planned, moved tensor by tensor, written, read back."""

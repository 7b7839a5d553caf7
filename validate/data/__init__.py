"""Data sets: what containers hold, which class each image is of, what is missing."""

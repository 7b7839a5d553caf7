"""Data only: one file for each layout; README.md explains the language."""

"""Comparison report: one document of runs and verifications, and its renderings."""

"""The comparison report: one document of runs and verifications, and what is rendered of it."""

"""Renderings of a report: each is a function of its document."""

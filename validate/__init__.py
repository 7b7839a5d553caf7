"""Measure a network against what was published of it: recipes, cost, accuracy."""

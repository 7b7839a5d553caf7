"""Accuracies with intervals, comparisons of runs, and the verdict against published accuracies."""

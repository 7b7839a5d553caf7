"""What answers amount to: accuracies with intervals, comparisons, the verdict beside what was published."""

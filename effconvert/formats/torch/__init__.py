"""PyTorch's files and pickles, read without torch and without running anything."""

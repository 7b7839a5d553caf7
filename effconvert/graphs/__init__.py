"""The network as a graph of operators that other engines run, built from canonical tensors."""

"""The architecture: variants, their blocks, the facts of a network, names and shapes of its tensors."""

"""What an EfficientNet is: variants, their blocks, the facts of a network, the names and shapes of its tensors."""

"""A first map of an unknown file: which tensor is which, told by shapes, names, order and values."""

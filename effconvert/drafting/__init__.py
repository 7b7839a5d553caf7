"""Drafting: a first map of an unknown file. Shapes, names, order and values tell which tensor is which."""

"""Keras's files: HDF5 and `.keras`, and the graph of the model in them."""

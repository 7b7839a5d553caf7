"""TensorFlow's V2 checkpoint."""

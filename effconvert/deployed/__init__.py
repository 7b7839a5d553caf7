"""Networks in files that run on their own, ONNX and TensorFlow Lite: their graphs, and what they say of the network."""

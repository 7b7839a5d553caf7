"""ONNX models: what effconvert wrote is read back as weights, and every other model is described."""

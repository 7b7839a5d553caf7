"""Inference on images that a user names: classes and features."""

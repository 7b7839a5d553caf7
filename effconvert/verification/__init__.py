"""Proves that two files are the same network: runs both on the same images, and compares layer by layer."""

"""Verification that two files are the same network: both run on the same images and are compared layer by layer."""

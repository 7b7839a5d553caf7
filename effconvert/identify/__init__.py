"""Identification of a checkpoint: layout, variant, facts, preprocessing, missing and additional tensors."""

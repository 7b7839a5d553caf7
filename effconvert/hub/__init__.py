"""Published weights: their catalogue and names, download, cache and conversion."""

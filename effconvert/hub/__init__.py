"""Published weights: which there are, by which names, fetched once and converted."""

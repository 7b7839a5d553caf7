"""Engines: libraries that compute a network on a CPU in place of torch."""

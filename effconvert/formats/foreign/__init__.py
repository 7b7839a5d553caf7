"""Files that are not read here: each kind is known by its signs, and named with the one thing to do."""

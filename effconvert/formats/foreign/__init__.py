"""What is not read here, each kind told by its signs, with the one thing to do."""

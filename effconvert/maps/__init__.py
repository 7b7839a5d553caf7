"""The map language: mapping files read, compiled into moves, inverted and composed."""

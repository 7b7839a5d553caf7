"""The commands, one file for each: it parses, calls one function, and shows the result."""

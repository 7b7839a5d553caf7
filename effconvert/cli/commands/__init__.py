"""One file for each command: it parses, calls one function, and shows what came of it."""

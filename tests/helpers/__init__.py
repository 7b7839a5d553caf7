"""Shared by all tests: files that are written for them, small networks, servers, faults, and the command line."""

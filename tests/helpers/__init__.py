"""What the tests share: files that are written for them, small networks, servers, faults, and the command line."""

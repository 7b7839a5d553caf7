"""Parameters and operations by the conventions of every publication."""

"""Parameters and operations of a network, counted from its blocks, by the conventions of every publication."""

"""What a report looks like to whom: each a small function of its document."""

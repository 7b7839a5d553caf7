"""The pictures of a report, each a function of its document."""

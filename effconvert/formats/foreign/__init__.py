"""Files that cannot be read: each kind is recognised and named, with what to do."""

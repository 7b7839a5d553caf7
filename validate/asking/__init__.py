"""Networks asked about images that a user names: classes and features."""

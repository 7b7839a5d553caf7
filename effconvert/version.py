"""The version, written into every file that effconvert makes."""

VERSION = "0.1.0"

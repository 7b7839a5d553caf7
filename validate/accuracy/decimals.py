"""The decimals of an accuracy: as many as its number of images supports."""


def places(images: int) -> int:
    """Return the decimals of an accuracy, in percent, that one of so many images changes: 3 of 50,000, 0 of 20."""
    return min(3, max(0, len(str(images - 1)) - 2))

"""Data sets: containers of images, the class of each image, missing images."""

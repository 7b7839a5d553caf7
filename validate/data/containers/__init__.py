"""Containers of ImageNet's images, a module for each kind; they list the images without reading them."""

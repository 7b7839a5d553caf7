"""What ImageNet comes in: six kinds of container, a module each, which list their images without reading them."""

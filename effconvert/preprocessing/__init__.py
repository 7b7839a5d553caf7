"""Images prepared as each library does, bit for bit: decoded, cropped, resized."""

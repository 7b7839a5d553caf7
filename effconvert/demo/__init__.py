"""What `effconvert demo` shows: the main job on trained weights where a package has them, else on random ones."""

"""Demo of the main commands, on trained weights if a package has them, else on random ones."""

"""What a checkpoint is: layout, variant, facts, preprocessing, and what it lacks or has besides."""

"""Published facts about the official weights: data, with its source in every row. `reference_tables` reads it."""

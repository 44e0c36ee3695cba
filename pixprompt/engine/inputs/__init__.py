"""What a run starts from: model and data by the names in its settings, and whether a file may name them."""

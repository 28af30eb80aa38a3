"""One file for each family of checkpoints that export can read."""

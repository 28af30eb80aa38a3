"""Marks: one file each. They say in the picture, to people and to programs, that it was modified."""

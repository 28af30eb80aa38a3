"""Blenders: one file each. They set the new face into the picture."""

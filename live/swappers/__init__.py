"""Swappers: one file each. They make the new face."""

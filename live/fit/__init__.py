"""Fits what a swap net drew into the frame: its place, what of it is shown, and the wearer's colours."""

"""Finders: one file each. They find faces in a picture and follow them."""

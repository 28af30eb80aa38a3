"""Trained weights in, a model folder out."""

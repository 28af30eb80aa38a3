"""Runs a model on whatever runtime this machine has; knows tensors, never faces."""

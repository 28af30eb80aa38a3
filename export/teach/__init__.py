"""Teaches doppelcam's own nets (PyTorch, the extra `teach`): makes pictures, trains, writes model folders."""

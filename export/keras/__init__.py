"""Rebuilds a net from what Keras keeps of it, a whole-model .h5 or a .keras file; nothing in it is ever run."""

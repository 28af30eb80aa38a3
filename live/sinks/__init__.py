"""Sinks: one file each. Where pictures go."""

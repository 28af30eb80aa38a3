"""Sources: one file each. Where pictures come from."""

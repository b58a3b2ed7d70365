"""The run directory: what training and evaluation leave on the disk, and how it is read."""

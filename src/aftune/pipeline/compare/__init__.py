"""Comparisons: the methods by name, their runs over seeds, and what came out. May import all of `pipeline`."""

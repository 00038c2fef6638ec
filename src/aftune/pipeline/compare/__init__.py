"""Comparisons: the methods by name, their runs over seeds, and the results. May import all of `pipeline`."""

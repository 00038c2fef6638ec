"""Measurements: task accuracy, assessment accuracy, and the statistics that say how sure they are."""

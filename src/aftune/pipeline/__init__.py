"""The stages and the run directory."""

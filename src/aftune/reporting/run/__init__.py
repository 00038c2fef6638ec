"""The page of a run, from what its stages wrote."""

"""The run directory: its folders and manifest, what a run reads from outside, what has changed since a stage was made, and
which recipe the directory belongs to."""

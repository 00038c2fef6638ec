"""What ties everything together: the runner, the registry of stages, the stages and the run directory.

A new stage is a function in `stages/`. May import all rooms but cli.
"""

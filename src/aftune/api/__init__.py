"""The stages as functions of lists and models, for notebooks and programs: each calls what the stage of a run calls. `aftune` has
them by name, and loads each when it is first used.

May import common, recipe, records, tasks, groups, prompts, models and pipeline.
"""

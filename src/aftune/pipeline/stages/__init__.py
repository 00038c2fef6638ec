"""The stages: each a function of a `Context` that reads the folders of earlier stages and writes its own.

A new stage is a function here, a line in `aftune.pipeline.stage_functions` and an entry in `aftune.pipeline.registry`.
"""

"""The command line: each module parses a group of commands, calls one function of the pipeline and prints; no logic lives here.

A new command goes into the module of its group, what it prints into the `*_views` beside it. May import pipeline, reporting,
interchange, tasks, recipe and common.
"""

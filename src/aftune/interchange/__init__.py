"""Files of other programs: candidates and groups made elsewhere come in (importers), groups and verdicts go out (exporters).

May import recipe, prompts, records and common.
"""

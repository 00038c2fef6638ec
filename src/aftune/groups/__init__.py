"""From candidates to groups: verdicts, duplicates, what is left out; and which right candidates RFT imitates.

May import tasks, answers, records and common.
"""

"""Measurements, and the statistics that say how sure they are.

Task accuracy, assessment accuracy, votes over several responses and pass@k, repetition and length of responses, perplexity of
references. All are pure functions of numbers and texts, but for those that ask a model: greedy, letters, reference_loss.

A new metric is a function here. May import sampling, scoring, models, tasks, prompts, answers, records and common.
"""

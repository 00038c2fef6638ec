"""Measurements, and the statistics that say how sure they are.

Task accuracy, assessment accuracy, votes over several responses and pass@k, repetition and length of responses, perplexity of
references. All but the task accuracy during training are pure functions of numbers and texts.
"""

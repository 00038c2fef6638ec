"""Scores: the only place where log-probabilities of responses are computed.

May import prompts, models and common.
"""

from aftune.scoring.batches import Batch, Pass, collate, make_pass
from aftune.scoring.logprobs import ResponseLogprobs, response_logprobs, rows_of_segments
from aftune.scoring.score import ScoredGroup, group_logprobs, score_groups

__all__ = [
    "Batch",
    "Pass",
    "ResponseLogprobs",
    "ScoredGroup",
    "collate",
    "group_logprobs",
    "make_pass",
    "response_logprobs",
    "rows_of_segments",
    "score_groups",
]

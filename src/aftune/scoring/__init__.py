"""Scores: the only place where log-probabilities of responses are computed."""

from aftune.scoring.batches import GroupBatch, collate
from aftune.scoring.logprobs import ResponseLogprobs, response_logprobs
from aftune.scoring.score import score_groups

__all__ = ["GroupBatch", "ResponseLogprobs", "collate", "response_logprobs", "score_groups"]

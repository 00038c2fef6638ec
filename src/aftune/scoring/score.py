"""Log-probabilities and scores of many groups, without gradients."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import send_to_device

from aftune.common.errors import DataError
from aftune.common.process import give_back_freed_memory
from aftune.models.abilities import abilities
from aftune.models.finite import why_not_finite
from aftune.prompts.encoding import EncodedGroup
from aftune.scoring.batches import make_pass
from aftune.scoring.logprobs import response_logprobs

_ROWS_BETWEEN = 4  # giving memory back takes half a percent of the time then (benchmarks/growth.py)


@dataclass(frozen=True)
class ScoredGroup:
    """Summed log-probabilities (nats) and lengths (tokens) of a group's responses."""

    sums: list[float]
    lengths: list[int]

    @property
    def scores(self) -> list[float]:
        """Nats per token."""
        return [total / length for total, length in zip(self.sums, self.lengths, strict=True)]


def score_groups(
    model: Any,
    groups: Iterable[EncodedGroup],
    *,
    token_budget: int = 4096,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Iterator[list[float]]:
    """The score of every response of every group, nats per token, in the order given; groups are taken as they are needed.

    Raises DataError where the model gives a log-probability that is not finite.
    """
    for group in group_logprobs(model, groups, token_budget=token_budget, on_progress=on_progress):
        yield group.scores


def group_logprobs(
    model: Any,
    groups: Iterable[EncodedGroup],
    *,
    token_budget: int = 4096,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Iterator[ScoredGroup]:
    """As `score_groups`, but sums and lengths."""
    num_done = 0
    for number, block in enumerate(_blocks(groups, token_budget), 1):
        yield from _scored(model, block, token_budget)
        if number % _ROWS_BETWEEN == 0 and model.device.type == "cpu":
            # In bfloat16 a kernel is kept for every number of tokens, between the large tensors: what they leave is not reused.
            give_back_freed_memory()
        num_done += len(block)
        on_progress(num_done)


@torch.inference_mode()
def _scored(model: Any, groups: list[EncodedGroup], token_budget: int) -> list[ScoredGroup]:
    made = make_pass(groups, token_budget=token_budget, shared_prefix=abilities(model).shared_prefix)
    logprobs = response_logprobs(model, send_to_device(made, model.device))
    rows = zip(groups, logprobs.sums_P_G.tolist(), logprobs.lengths_P_G.tolist(), strict=True)
    return [_scored_group(model, group, sums, lengths) for group, sums, lengths in rows]


def _scored_group(model: Any, group: EncodedGroup, sums: list[float], lengths: list[int]) -> ScoredGroup:
    number = len(group.response_ids)
    if not all(map(math.isfinite, sums[:number])):
        raise DataError(f"{group.problem_id}: the model gives log-probabilities that are not finite: {why_not_finite(model)}")
    return ScoredGroup(sums[:number], lengths[:number])


def _blocks(groups: Iterable[EncodedGroup], token_budget: int) -> Iterator[list[EncodedGroup]]:
    """Groups that fit into one row together; a larger group alone."""
    block: list[EncodedGroup] = []
    num_tokens = 0
    for group in groups:
        if block and num_tokens + group.num_tokens > token_budget:
            yield block
            block, num_tokens = [], 0
        block.append(group)
        num_tokens += group.num_tokens
    if block:
        yield block

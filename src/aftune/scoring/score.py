"""Scores of many groups, without gradients."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from accelerate.utils import send_to_device

from aftune.encoding import EncodedGroup
from aftune.scoring.abilities import abilities
from aftune.scoring.batches import make_pass
from aftune.scoring.logprobs import response_logprobs


def score_groups(
    model: Any,
    groups: Iterable[EncodedGroup],
    *,
    token_budget: int = 4096,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Iterator[list[float]]:
    """The score of every response of every group, nats per token, in the order given; groups are taken as they are needed."""
    num_done = 0
    for block in _blocks(groups, token_budget):
        yield from _scores(model, block, token_budget)
        num_done += len(block)
        on_progress(num_done)


@torch.inference_mode()
def _scores(model: Any, groups: list[EncodedGroup], token_budget: int) -> list[list[float]]:
    made = make_pass(groups, token_budget=token_budget, shared_prefix=abilities(model).shared_prefix)
    scores_P_G = response_logprobs(model, send_to_device(made, model.device)).scores_P_G
    return [row[: len(group.response_ids)] for row, group in zip(scores_P_G.tolist(), groups, strict=True)]


def _blocks(groups: Iterable[EncodedGroup], token_budget: int) -> Iterator[list[EncodedGroup]]:
    """Groups that fill one row together; a larger group alone."""
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

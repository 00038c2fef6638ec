"""Scores of many groups, without gradients."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from aftune.encoding import EncodedGroup
from aftune.scoring.batches import collate
from aftune.scoring.logprobs import response_logprobs


@torch.inference_mode()
def score_groups(
    model: Any, groups: Sequence[EncodedGroup], *, batch_size: int = 16, on_progress: Callable[[int], None] = lambda done: None
) -> list[list[float]]:
    """The score of every response of every group, nats per token, in the order given; `batch_size` groups at a time."""
    by_length = sorted(
        range(len(groups)), key=lambda i: len(groups[i].prompt_ids) + max(map(len, groups[i].response_ids), default=0)
    )
    scores: list[list[float]] = [[] for _ in groups]
    for start in range(0, len(groups), batch_size):
        indices = [i for i in by_length[start : start + batch_size] if groups[i].response_ids]
        if indices:
            batch = {key: value.to(model.device) for key, value in collate([groups[i] for i in indices]).items()}  # type: ignore[attr-defined]
            for i, row in zip(indices, response_logprobs(model, batch).scores_P_G.tolist(), strict=True):  # type: ignore[arg-type]
                scores[i] = row[: len(groups[i].response_ids)]
        on_progress(min(start + batch_size, len(groups)))
    return scores

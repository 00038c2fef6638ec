"""The loss of reference responses, which shows progress where no response is right yet."""

from collections.abc import Iterable

from transformers import PreTrainedModel

from aftune.prompts.encoding import EncodedGroup
from aftune.scoring import group_logprobs


def reference_loss(model: PreTrainedModel, groups: Iterable[EncodedGroup], token_budget: int) -> float | None:
    """The VFT loss: mean nats per token over all responses of the groups; None if there are none."""
    total, num_tokens = 0.0, 0
    for group in group_logprobs(model, groups, token_budget=token_budget):
        total += sum(group.sums)
        num_tokens += sum(group.lengths)
    return -total / num_tokens if num_tokens else None

"""The loss of reference responses, which shows progress where no response is right yet."""

from collections.abc import Iterable

from aftune.scoring import ScoredGroup


def reference_loss(scored: Iterable[ScoredGroup]) -> float | None:
    """The VFT loss: mean nats per token over all responses of the groups; None if there are none."""
    total, num_tokens = 0.0, 0
    for group in scored:
        total += sum(group.sums)
        num_tokens += sum(group.lengths)
    return -total / num_tokens if num_tokens else None

"""Choosing the boundary's beta from the groups. The paper leaves it open; this is our derivation.

beta says how far below the lowest-scoring better candidate a worse one may fall. Before alignment, that distance is known for
every worse candidate; a quantile of it asks the worse candidates to end up where the model already puts the clearest of them.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from aftune.common.errors import DataError
from aftune.prompts.encoding import EncodedGroup
from aftune.records import GroupLogprobs
from aftune.training.reference_logprobs import matched


def gaps(qualities: Sequence[float | None], scores: Sequence[float]) -> list[float]:
    """For each worse candidate: the lowest score among those better than it, minus its own score; nats per token. Candidates
    with quality None are left out."""
    members = [(quality, score) for quality, score in zip(qualities, scores, strict=True) if quality is not None]
    return [min(better) - score for quality, score in members if (better := [other for above, other in members if above > quality])]


def auto_beta(groups: Iterable[EncodedGroup], logprobs: Iterable[GroupLogprobs], quantile: float) -> float:
    """The quantile of the gaps that are positive, under the model that training starts from.

    groups: as they are trained on, so that feedback, number of candidates and reference count as they do there; `logprobs`:
    those of the same groups, these responses included. Where a worse candidate has the higher score there is no distance to
    learn from. Raises DataError where no gap is positive, and where groups and `logprobs` do not match.
    """
    found: list[float] = []
    for group, item in zip(groups, logprobs, strict=True):
        scores = [item.sums[place] / item.lengths[place] for place in matched(group, item)]
        found += [gap for gap in gaps(group.qualities, scores) if gap > 0]
    if not found:
        raise DataError("align.beta: auto needs candidates that score below better ones, and there are none; give a number")
    return float(np.quantile(found, quantile))
